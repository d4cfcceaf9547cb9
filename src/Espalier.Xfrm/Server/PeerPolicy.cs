using Espalier.Io.UnixSockets;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Server;

/// <summary>
/// Who may use the control socket, by what the kernel recorded when the client connected: root, the user of this process, and the users and
/// groups that options name; all in the data plane's own network namespace.
/// </summary>
internal sealed class PeerPolicy
{
    private readonly ControlServerOptions _options;
    private readonly uint _ownUser;

    public PeerPolicy(ControlServerOptions options, uint ownUser)
    {
        _options = options;
        _ownUser = ownUser;
    }

    /// <summary>Success, or the error that the client is told.</summary>
    public XfrmError Check(UnixConnection connection)
    {
        if (UnixPeer.Credentials(connection) is not { } peer)
        {
            return new XfrmError(LinuxError.Perm, "The kernel does not say who is connecting");
        }

        if (!MayConnect(peer, connection))
        {
            return new XfrmError(
                LinuxError.Perm,
                $"User {peer.UserId} may not use this data plane: name it with --allow-user or its group with --allow-group of 'espalier run'");
        }

        return UnixPeer.SharesNetworkNamespace(connection) switch
        {
            true => XfrmError.None,
            false => new XfrmError(LinuxError.CrossDevice, "The client is in another network namespace than the data plane: run it in the data plane's"),
            null => new XfrmError(LinuxError.CrossDevice, "It cannot be found out whether the client is in the data plane's network namespace"),
        };
    }

    private bool MayConnect(PeerCredentials peer, UnixConnection connection) =>
        peer.UserId == 0 || peer.UserId == _ownUser || _options.AllowedUsers.Contains(peer.UserId)
        || (_options.AllowedGroups.Count > 0
            && (_options.AllowedGroups.Contains(peer.GroupId) || UnixPeer.Groups(connection).Any(_options.AllowedGroups.Contains)));
}
