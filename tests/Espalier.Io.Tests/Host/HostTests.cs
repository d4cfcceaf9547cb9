using Espalier.Io.Host;
using Espalier.Io.Interop;

namespace Espalier.Io.Tests.Host;

public sealed class HostTests
{
    [Fact]
    public void Hardening_Applied_ForbidsCoreDumps()
    {
        Assert.Equal(0, ProcessHardening.Apply());
        Assert.Equal(0, Libc.prctl(Files.PR_GET_DUMPABLE, 0, 0, 0, 0));
        Assert.Matches("Max core file size +0 +0 ", File.ReadAllText("/proc/self/limits"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Notify_SocketOfTheManager_GetsOneDatagram(bool isAbstract)
    {
        string name = $"esp{Environment.ProcessId}-notify";
        string path = isAbstract ? "@" + name : Path.Combine(Path.GetTempPath(), name);
        File.Delete(path);
        using var manager = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Dgram, 0);
        manager.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(isAbstract ? "\0" + name : path));
        Assert.Equal(0, ServiceNotifier.Notify(path, "READY=1\nSTATUS=serving"));
        byte[] buffer = new byte[100];
        Assert.Equal("READY=1\nSTATUS=serving", System.Text.Encoding.UTF8.GetString(buffer, 0, manager.Receive(buffer)));
        File.Delete(path);
    }

    [Fact]
    public void Notify_NoManager_IsNoError()
    {
        Assert.Equal(0, ServiceNotifier.Notify(null, ServiceNotifier.Ready));
        Assert.Equal(0, ServiceNotifier.Notify("", ServiceNotifier.Ready));
        Assert.Equal(Errno.EINVAL, ServiceNotifier.Notify("vsock:2:1234", ServiceNotifier.Ready));
        Assert.Equal(Errno.ENOENT, ServiceNotifier.Notify("/nonexistent/socket", ServiceNotifier.Ready));
    }
}
