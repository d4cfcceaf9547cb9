using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Espalier.Io.Interop;
using Espalier.Testing;

namespace Espalier.Io.Tests.Interop;

/// <summary>Structs and constants of Interop against the host's C headers.</summary>
public sealed class LayoutTests
{
    [Fact]
    public void Structs_AgainstC_HaveSizeAndOffsets()
    {
        CompilerFacts.Require();
        var expected = new List<(string Expression, long Ours)>();
        foreach (var layout in LayoutTable.Structs)
        {
            expected.Add(($"sizeof({layout.Name})", layout.Size));
            expected.AddRange(layout.Members.Select(member => ($"offsetof({layout.Name}, {member.Member})", (long)member.Offset)));
        }

        Compare(expected);
    }

    [Fact]
    public void Constants_AgainstC_HaveTheirValues()
    {
        CompilerFacts.Require();
        var expected = new List<(string Expression, long Ours)>();
        foreach (var type in ConstantClasses())
        {
            foreach (var field in type.GetFields(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public).Where(field => field.IsLiteral))
            {
                // A name with small letters is ours, not C's.
                if (field.Name.Any(char.IsLower))
                {
                    continue;
                }

                expected.Add(($"{CastTo(field.FieldType)}({field.Name})", Convert.ToInt64(field.GetRawConstantValue(), CultureInfo.InvariantCulture)));
            }
        }

        Assert.True(expected.Count > 150);
        Compare(expected);
    }

    [Fact]
    public void FileActions_AgainstC_Fit()
    {
        CompilerFacts.Require();
        Assert.InRange(CompilerFacts.Evaluate(["spawn.h"], ["sizeof(posix_spawn_file_actions_t)"])[0], 1, Espalier.Io.Interop.Processes.FileActionsSize);
    }

    [Fact]
    public void Structs_OfInterop_AreAllRegistered()
    {
        var registered = LayoutTable.Structs.Select(layout => layout.Name["struct ".Length..]).ToHashSet();
        var structs = typeof(SafeDescriptor).Assembly.GetTypes()
            .Where(type => type is { IsValueType: true, IsEnum: false, IsNested: false } && type.Namespace == typeof(SafeDescriptor).Namespace);
        Assert.All(structs, type => Assert.Contains(type.Name, registered));
    }

    [Fact]
    public void Calls_OfTheAssembly_AreInInteropOnly()
    {
        var importers = typeof(SafeDescriptor).Assembly.GetTypes()
            .Where(type => type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly)
                .Any(method => method.GetCustomAttribute<LibraryImportAttribute>() is not null || method.Attributes.HasFlag(MethodAttributes.PinvokeImpl)))
            .Select(type => type.Name);
        Assert.Equal(["Libc"], importers.Distinct());
    }

    private static IEnumerable<Type> ConstantClasses() => typeof(SafeDescriptor).Assembly.GetTypes()
        .Where(type => type is { IsAbstract: true, IsSealed: true, IsNested: false } && type.Namespace == typeof(SafeDescriptor).Namespace)
        .Where(type => type.GetFields(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public).Any(field => field.IsLiteral));

    /// <summary>C's masks are negative ints where ours are unsigned fields.</summary>
    private static string CastTo(Type type) => Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => "(unsigned char)",
        TypeCode.UInt16 => "(unsigned short)",
        TypeCode.UInt32 => "(unsigned int)",
        _ => "",
    };

    private static void Compare(List<(string Expression, long Ours)> expected)
    {
        long[] theirs = CompilerFacts.Evaluate(LayoutTable.Headers, [.. expected.Select(entry => entry.Expression)], LayoutTable.Prologue);
        Assert.Equal(expected, expected.Select((entry, index) => (entry.Expression, theirs[index])));
    }
}
