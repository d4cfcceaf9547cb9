using System.CommandLine;
using Espalier.CommandLine;
using Espalier.Crypto;
using Espalier.Diagnosis.Checks;

namespace Espalier.Diagnosis;

/// <summary>`espalier doctor`: what this host has, lacks, and what to do about it.</summary>
internal static class DoctorCommand
{
    private const string Notes = """
        Looks, and changes nothing. Checks: whether the kernel has ESP of its own, TUN, rights, nftables, limits of socket buffers,
        who holds UDP ports 500 and 4500, the loopback device, reverse path filtering, forwarding, crypto engines, the preload library,
        a data plane that runs already, and settings of strongSwan that get in the way. Run it as the user, and in the network
        namespace, of 'espalier run'.

        Examples:
          espalier doctor
          sudo ip netns exec vpn espalier doctor --encap-port 0

        Exit codes: 0 'espalier run' can be expected to work, possibly with warnings; 1 something prevents it; 2 bad option.
        """;

    /// <summary>The command.</summary>
    internal static Command Create()
    {
        var control = Defaults.ControlOption();
        var port = Numbers.Option("--encap-port", "The port that 'espalier run' is to use", 4500, 0, 65535, "PORT");
        var buffer = Numbers.Option("--rcvbuf", "The receive buffer that 'espalier run' is to use", 4 << 20, 4096, 1 << 30, "BYTES");
        var command = new Command("doctor", "Check whether this host can run the data plane, and say what to do where it cannot.") { control, port, buffer };
        NotedHelp.AddTo(command, Notes);
        command.SetAction(parsed => Report(
            Examine(new HostView(), Defaults.Absolute(parsed.GetValue(control)!), (ushort)parsed.GetValue(port), (int)parsed.GetValue(buffer)),
            parsed.InvocationConfiguration.Output));
        return command;
    }

    /// <summary>All findings, in the order in which one would put things right.</summary>
    internal static IReadOnlyList<Finding> Examine(HostView host, string control, ushort port, int receiveBuffer) =>
    [
        .. RightsCheck.Examine(host),
        .. TunCheck.Examine(host),
        .. KernelEspCheck.Examine(host),
        .. GuardCheck.Examine(host),
        .. PortCheck.Examine(host, port),
        .. LoopbackCheck.Examine(host, port),
        .. BufferCheck.Examine(host, receiveBuffer),
        .. RoutingCheck.Examine(host),
        .. CryptoCheck.Examine(CryptoEngines.Survey()),
        .. PreloadCheck.Examine(host),
        .. ControlCheck.Examine(control),
        .. StrongSwanCheck.Examine(host),
    ];

    /// <summary>Prints the findings and returns the exit code.</summary>
    internal static int Report(IReadOnlyList<Finding> findings, TextWriter output)
    {
        int width = findings.Max(f => f.Subject.Length);
        foreach (var finding in findings)
        {
            string label = finding.Severity switch
            {
                Severity.Good => "ok     ",
                Severity.Note => "note   ",
                Severity.Warning => "WARNING",
                _ => "PROBLEM",
            };
            output.WriteLine($"{label}  {finding.Subject.PadRight(width)}  {finding.Text}");
            if (finding.Advice is not null)
            {
                output.WriteLine($"{new string(' ', label.Length + width + 4)}→ {finding.Advice}");
            }
        }

        int problems = findings.Count(f => f.Severity == Severity.Problem), warnings = findings.Count(f => f.Severity == Severity.Warning);
        output.WriteLine();
        output.WriteLine(problems > 0
            ? $"{problems} {(problems == 1 ? "problem prevents" : "problems prevent")} 'espalier run' here."
            : $"'espalier run' can be expected to work{(warnings == 0 ? "." : $", with {warnings} {(warnings == 1 ? "warning" : "warnings")}.")}");
        return problems > 0 ? ExitCodes.Failure : ExitCodes.Success;
    }
}
