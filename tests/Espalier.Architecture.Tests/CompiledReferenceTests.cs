using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Packets;

namespace Espalier.Architecture.Tests;

// What the compiler made of the protocol code: it does no I/O, calls nothing native and knows only what is below it.
public sealed class CompiledReferenceTests
{
    private static readonly string[] _ioNamespaces =
        ["System.IO", "System.IO.Pipes", "System.IO.MemoryMappedFiles", "System.Net.Sockets", "System.Net.Http"];

    // Processes, and threads of its own: protocol code runs on its caller's.
    private static readonly string[] _ioTypes =
        ["System.Diagnostics.Process", "System.Threading.Thread", "System.Threading.ThreadPool", "System.Threading.Timer", "System.Threading.Tasks.Task"];

    // In conversions of addresses.
    private const string AddressFamily = "System.Net.Sockets.AddressFamily";

    public static TheoryData<string> ProtocolAssemblies() => [typeof(IPv4Packet).Assembly.Location, typeof(FragmentPorts).Assembly.Location];

    [Theory]
    [MemberData(nameof(ProtocolAssemblies))]
    public void ProtocolCode_TypesUsed_DoNoIo(string path)
    {
        using var assembly = new PEReader(File.OpenRead(path));
        var metadata = assembly.GetMetadataReader();
        var used = metadata.TypeReferences.Select(metadata.GetTypeReference)
            .Select(type => (Namespace: metadata.GetString(type.Namespace), Name: metadata.GetString(type.Name)))
            .Where(type => _ioNamespaces.Contains(type.Namespace) || _ioTypes.Contains($"{type.Namespace}.{type.Name}"))
            .Select(type => $"{type.Namespace}.{type.Name}");
        Assert.Empty(used.Except([AddressFamily]));
    }

    [Theory]
    [MemberData(nameof(ProtocolAssemblies))]
    public void ProtocolCode_NativeImports_AreNone(string path)
    {
        using var assembly = new PEReader(File.OpenRead(path));
        var metadata = assembly.GetMetadataReader();
        var native = metadata.MethodDefinitions.Select(metadata.GetMethodDefinition)
            .Where(method => (method.Attributes & MethodAttributes.PinvokeImpl) != 0)
            .Select(method => metadata.GetString(method.Name));
        Assert.Empty(native);
    }

    [Fact]
    public void Wire_AssembliesUsed_AreThePlatforms() => Assert.Empty(OwnReferences(typeof(IPv4Packet).Assembly.Location));

    [Fact]
    public void Ipsec_AssembliesUsed_AreWireAndThePlatforms() =>
        Assert.Equal(["Espalier.Wire"], OwnReferences(typeof(FragmentPorts).Assembly.Location));

    private static string[] OwnReferences(string path)
    {
        using var assembly = new PEReader(File.OpenRead(path));
        var metadata = assembly.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(metadata.GetAssemblyReference)
            .Select(reference => metadata.GetString(reference.Name))
            .Where(name => name.StartsWith("Espalier", StringComparison.Ordinal))];
    }
}
