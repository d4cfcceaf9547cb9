using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Kernel;

/// <summary>
/// A virtual machine with a Linux kernel of its own, by QEMU's emulation (no KVM), whose card is a TAP of a namespace. It reads commands from a socket of this
/// process, and powers itself off when that is closed, also by a crash; `timeout` ends it in any case.
/// </summary>
internal sealed class KernelGuest : IDisposable
{
    private const int BootSeconds = 120, LifeSeconds = 400;
    private const string End = "@@end ";

    private readonly TemporaryFolder _folder = new("guest");
    private readonly string _console;
    private readonly Process _machine;
    private readonly Socket _commands;

    /// <summary>Boots it and waits until it takes commands.</summary>
    public KernelGuest(NetworkNamespace host, string tap, bool ike)
    {
        string image = GuestImage.Write(_folder, ike), socket = _folder.FilePath("commands");
        _console = _folder.FilePath("console");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        listener.Listen();
        host.Ip($"tuntap add {tap} mode tap vnet_hdr");
        host.Ip($"link set {tap} up");
        _machine = Shell.Start(
            ["ip", "netns", "exec", host.Name, "timeout", "--signal=KILL", LifeSeconds.ToString(CultureInfo.InvariantCulture), "qemu-system-x86_64",
            .. Machine(), "-kernel", GuestImage.Kernel(), "-initrd", image, "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
            "-serial", $"file:{_console}", "-chardev", $"socket,id=commands,path={socket}", "-device", "virtserialport,chardev=commands",
            "-netdev", $"tap,id=net,ifname={tap},script=no,downscript=no", "-device", "virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:02"]);
        var error = _machine.StandardError.ReadToEndAsync();
        Wait.Until(() => listener.Poll(0, SelectMode.SelectRead) || _machine.HasExited, "QEMU connects", BootSeconds);
        Assert.False(_machine.HasExited, $"QEMU ended: {(_machine.HasExited ? error.GetAwaiter().GetResult() : "")}");
        _commands = listener.Accept();
        _commands.ReceiveTimeout = BootSeconds * 1000;
        Run("until [ -e /sys/class/net/eth0 ]; do usleep 10000; done");
    }

    /// <summary>Runs a shell command and returns what it printed; the test fails where its exit code is not 0.</summary>
    public string Run(string command)
    {
        var (code, output) = Try(command);
        Assert.True(code == 0, $"{command}: exit code {code}\n{output}");
        return output;
    }

    /// <summary>Runs a shell command whatever its exit code.</summary>
    public (int ExitCode, string Output) Try(string command)
    {
        _commands.Send(Encoding.ASCII.GetBytes($"{{ {command}\n}} </dev/null; echo \"{End}$?\"\n"));
        var text = new StringBuilder();
        byte[] buffer = new byte[4096];
        while (true)
        {
            int length = _commands.Receive(buffer);
            Assert.True(length > 0, $"the guest has gone: {text}\n{File.ReadAllText(_console)}");
            string all = text.Append(Encoding.UTF8.GetString(buffer, 0, length)).ToString();
            int end = all.LastIndexOf(End, StringComparison.Ordinal);
            if (end >= 0 && all.EndsWith('\n'))
            {
                return (int.Parse(all[(end + End.Length)..], CultureInfo.InvariantCulture), all[..end]);
            }
        }
    }

    /// <summary>Runs lines of iproute2's `ip` in one go.</summary>
    public void Ip(string lines) => Run($"{GuestImage.Ip} -batch - <<'LINES'\n{lines}\nLINES");

    /// <inheritdoc/>
    public void Dispose()
    {
        _commands.Dispose();
        _machine.Kill(entireProcessTree: true);
        _machine.WaitForExit();
        _machine.Dispose();
        _folder.Dispose();
    }

    // q35 has the timers by which the kernel calibrates its clock under emulation; microvm has not.
    private static string[] Machine() =>
    [
        "-machine", "q35,graphics=off,vmport=off,usb=off,sata=off,smbus=off", "-accel", "tcg", "-cpu", "max", "-m", "256", "-smp", "1", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-device", "virtio-serial-pci",
    ];
}
