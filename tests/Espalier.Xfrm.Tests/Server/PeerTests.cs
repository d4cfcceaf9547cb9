using Espalier.Io.UnixSockets;
using Espalier.Testing;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Server;
using static Espalier.Xfrm.Tests.Server.ControlSocket;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>Who may connect: users, groups, network namespaces.</summary>
public sealed class PeerTests
{
    [Fact]
    public void Peer_OfAnotherUser_IsRefusedUnlessNamed()
    {
        Requirement.Root();
        Requirement.Tool("setpriv");
        Requirement.Tool("ip");
        const string words = "setpriv --reuid 65534 --regid 65533 --clear-groups";
        string directory = OpenDirectory();
        using (var closed = new ServerHarness(new ControlServerOptions { Path = Path.Combine(directory, "a.sock") }))
        {
            var refused = AsUser(closed, words);
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Equal(1, closed.Server.Counters.Refused);
            Assert.Contains(closed.Log, line => line.Contains("--allow-user", StringComparison.Ordinal));
        }

        using (var byUser = new ServerHarness(new ControlServerOptions { Path = Path.Combine(directory, "b.sock"), AllowedUsers = [65534] }))
        {
            Assert.Equal(0, AsUser(byUser, words).ExitCode);
        }

        using (var byGroup = new ServerHarness(new ControlServerOptions { Path = Path.Combine(directory, "c.sock"), AllowedGroups = [65533] }))
        {
            Assert.Equal(0, AsUser(byGroup, words).ExitCode);
            Assert.NotEqual(0, AsUser(byGroup, "setpriv --reuid 65534 --regid 65534 --clear-groups").ExitCode);
            Assert.Equal(0, AsUser(byGroup, "setpriv --reuid 65534 --regid 65534 --groups 65533").ExitCode);
        }

        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public void Peer_OfAnotherNamespace_IsRefusedWithTheReason()
    {
        using var network = NetworkNamespace.Create("control");
        using var server = new ServerHarness(network: network);
        using var outside = UnixConnection.Connect(server.Path);

        var answer = Ask(outside, Attach());
        Assert.Equal(LinuxError.CrossDevice, answer.Errno);
        Assert.Contains("namespace", answer.Text, StringComparison.Ordinal);
        Assert.True(outside.WaitReadable(5000));
        Assert.Equal(UnixReceiveOutcome.Closed, outside.Receive(new byte[100]).Outcome);

        using var inside = network.Run(() => server.Connect());
        Assert.Empty(inside.DumpSas());
    }

    [Fact]
    public void RefusedClients_ThatSayNothing_DoNotTakePlaces()
    {
        using var network = NetworkNamespace.Create("control");
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 2 }, network);
        var outside = Enumerable.Range(0, 40).Select(_ => UnixConnection.Connect(server.Path)).ToArray();

        using var inside = network.Run(() => server.Connect());
        Assert.Empty(inside.DumpSas());

        Array.ForEach(outside, connection => connection.Dispose());
        Wait.Until(() => server.Server.Counters.Clients == 1, "they are gone");
    }

    private static CommandResult AsUser(ServerHarness server, string words)
    {
        // The preload library must be readable for the user, so it is copied beside the socket.
        string library = Path.Combine(Path.GetDirectoryName(server.Path)!, "libespalier-xfrm.so");
        if (!File.Exists(library))
        {
            File.Copy(PreloadLibrary.Path, library);
            Command.Run("chmod", "a+r", library);
        }

        return Command.Try(words.Split(' ')[0], [.. words.Split(' ')[1..], "env", $"ESPALIER_CONTROL={server.Path}", $"LD_PRELOAD={library}", "ip", "xfrm", "state"]);
    }

    private static string OpenDirectory()
    {
        string directory = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-control").FullName;
        Command.Run("chmod", "755", directory);
        return directory;
    }
}
