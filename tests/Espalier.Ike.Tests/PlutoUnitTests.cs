using Espalier.Ike.Tests.Daemons;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>The drop-in for libreswan's unit against the unit as its package has it: only what concerns the kernel's ESP is replaced.</summary>
public sealed class PlutoUnitTests
{
    private const string Exec = "/usr/local/lib/espalier/espalier exec -- ";

    [Fact]
    public void DropIn_AgainstThePackagesUnit_ReplacesTheKernelsPartAndKeepsTheRest()
    {
        Pluto.Need();
        string package = Path.Combine(EspalierProgram.Root(), "artifacts", "libreswan");
        string unitFile = Directory.GetFiles(package, "ipsec.service", SearchOption.AllDirectories).Single(file => file.Contains("systemd", StringComparison.Ordinal));
        string[] unit = File.ReadAllLines(unitFile);
        string[] dropIn = File.ReadAllLines(Path.Combine(EspalierProgram.Root(), "src", "Espalier", "Systemd", "libreswan", "espalier.conf"));

        Assert.Equal(
            Commands(unit, "ExecStartPre").Where(command => !command.Contains("_stackmanager", StringComparison.Ordinal)),
            Commands(dropIn, "ExecStartPre").Where(command => !command.Contains("xfrm", StringComparison.Ordinal)));
        Assert.Equal(
            Commands(unit, "ExecStopPost").Where(command => !command.Contains("xfrm", StringComparison.Ordinal)), Commands(dropIn, "ExecStopPost"));

        // The unit's list goes before the drop-in's comes.
        Assert.All((string[])["ExecStartPre=", "ExecStart=", "ExecStopPost="], empty => Assert.Contains(empty, dropIn));

        string pluto = Assert.Single(Commands(dropIn, "ExecStart"));
        Assert.Equal(Exec + Assert.Single(Commands(unit, "ExecStart")).Replace("--leak-detective ", "", StringComparison.Ordinal), pluto);
        Assert.True(File.Exists(package + pluto[Exec.Length..].Split(' ')[0]));
    }

    private static IEnumerable<string> Commands(string[] unit, string key) =>
        unit.Where(line => line.StartsWith(key + "=", StringComparison.Ordinal)).Select(line => line[(key.Length + 1)..]).Where(command => command.Length > 0);
}
