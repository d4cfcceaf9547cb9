using System.Net;
using System.Net.Sockets;
using System.Text;
using Espalier.Testing;

namespace Espalier.Native.Tests;

/// <summary>Programs that open no XFRM socket make the same system calls with the preload library as without it.</summary>
public sealed class UninvolvedProgramTests(PreloadBuild build)
{
    // Loading one library more costs calls to the loader's files and memory; all else must be the same, in the same order.
    private const string Traced = "%network,write,writev,dup,dup2,dup3,fcntl,close_range,getpid,clone,clone3,fork,vfork,execve,rt_sigaction,kill";

    [Fact]
    public void IpLink_UnderPreload_MakesTheSameCalls()
    {
        Requirement.Tool("ip");
        Assert.Equal(Calls(preload: false, "ip", "link", "show", "lo"), Calls(preload: true, "ip", "link", "show", "lo"));
    }

    [Fact]
    public void IpXfrm_WithoutControlVariable_MakesTheSameCalls()
    {
        Requirement.Tool("ip");
        Assert.Equal(
            Calls(preload: false, "env", "-u", "ESPALIER_CONTROL", "ip", "xfrm", "state", "count"),
            Calls(preload: true, "env", "-u", "ESPALIER_CONTROL", "ip", "xfrm", "state", "count"));
    }

    [Fact]
    public void Curl_UnderPreload_FetchesWithTheSameKindsOfCalls()
    {
        Requirement.Tool("curl");
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        string url = $"http://127.0.0.1:{((IPEndPoint)server.LocalEndpoint).Port}/";
        // How often curl polls depends on the moment, so the kinds of calls are compared.
        string[] without = Fetch(server, url, preload: false), with = Fetch(server, url, preload: true);

        Assert.Equal(without.Distinct().Order(StringComparer.Ordinal), with.Distinct().Order(StringComparer.Ordinal));
    }

    private string[] Fetch(TcpListener server, string url, bool preload)
    {
        var answer = Task.Run(() =>
        {
            using var client = server.AcceptTcpClient();
            using var stream = client.GetStream();
            _ = stream.Read(new byte[4096]);
            stream.Write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"u8);
        });
        string[] calls = Calls(preload, "curl", "-s", "--noproxy", "*", "-o", "/dev/null", url);
        answer.GetAwaiter().GetResult();
        return calls;
    }

    // Names of the calls of the program and of its threads, from its execve on.
    private string[] Calls(bool preload, params string[] program)
    {
        Assert.SkipUnless(PreloadBuild.HasCompiler, "needs gcc, make and the C library's headers");
        Requirement.Tool("strace");
        string trace = Path.Combine(Path.GetTempPath(), $"esp{Environment.ProcessId}-{Guid.NewGuid():N}.strace");
        try
        {
            string[] environment = preload ? ["-E", $"LD_PRELOAD={build.Library}", "-E", $"ESPALIER_CONTROL=/nonexistent/esp{Environment.ProcessId}.sock"] : [];
            Command.Run("strace", ["-f", "-qq", "-e", $"trace={Traced}", "-e", "signal=none", "-o", trace, .. environment, .. program]);
            return [.. File.ReadAllLines(trace, Encoding.UTF8).Select(NameOf).Where(name => name.Length > 0)];
        }
        finally
        {
            File.Delete(trace);
        }
    }

    // "1234  socket(AF_NETLINK, …) = 3" or "1234  <... poll resumed>) = 1".
    private static string NameOf(string line)
    {
        string call = line[line.IndexOf(' ', StringComparison.Ordinal)..].TrimStart();
        int parenthesis = call.IndexOf('(', StringComparison.Ordinal);
        return call.StartsWith('<') || call.StartsWith('+') || parenthesis < 0 ? "" : call[..parenthesis];
    }
}
