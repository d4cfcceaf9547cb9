using Espalier.Ipsec;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Tests;

/// <summary>The XFRM service without sockets: a peer that reads at once, and a listener to every group.</summary>
internal sealed class ServiceHarness : IXfrmPeer, IXfrmListeners, IDisposable
{
    private readonly NetlinkWriter _writer = new(16 * 1024);

    public ServiceHarness(TimeProvider? clock = null, XfrmOptions? options = null)
    {
        Database = new IpsecDatabase { Clock = clock ?? TimeProvider.System };
        Service = new XfrmService(Database, this, options ?? new XfrmOptions());
    }

    public IpsecDatabase Database { get; }

    public XfrmService Service { get; }

    public List<byte[]> Replies { get; } = [];

    public List<(XfrmGroup Group, byte[] Message)> Notifications { get; } = [];

    public HashSet<XfrmGroup> Deaf { get; } = [];

    public bool DumpInProgress { get; set; }

    /// <summary>Handles a request; returns its answers and empties the list.</summary>
    public byte[][] Handle(byte[] request)
    {
        Replies.Clear();
        Notifications.Clear();
        Service.Handle(request, this);
        return [.. Replies];
    }

    /// <summary>Handles a request that must succeed with an acknowledgement or an answer; returns the last answer.</summary>
    public byte[] Expect(byte[] request)
    {
        var replies = Handle(request);
        Assert.NotEmpty(replies);
        var parsed = Parsed.All(replies[^1])[^1];
        Assert.True(parsed.Type != Netlink.Error || parsed.Errno == 0, $"errno {parsed.Errno}: {parsed.Text}");
        return replies[^1];
    }

    /// <summary>Handles a request that must fail.</summary>
    public Parsed ExpectError(byte[] request)
    {
        var reply = Parsed.All(Assert.Single(Handle(request)))[0];
        Assert.Equal(Netlink.Error, reply.Type);
        Assert.NotEqual(0, reply.Errno);
        return reply;
    }

    public void Reply(ReadOnlySpan<byte> datagram)
    {
        Assert.True(datagram.Length <= XfrmContext.MaximumDatagram);
        Replies.Add(datagram.ToArray());
    }

    public void StartDump(PagedAnswer dump)
    {
        while (!dump.Finished)
        {
            using (Database.Freeze())
            {
                dump.WritePart(_writer);
            }

            Reply(_writer.Written);
            _writer.Clear();
        }
    }

    public bool Has(XfrmGroup group) => !Deaf.Contains(group);

    public void Publish(XfrmGroup group, ReadOnlySpan<byte> datagram)
    {
        if (Has(group))
        {
            Notifications.Add((group, datagram.ToArray()));
        }
    }

    public void Dispose() => Service.Dispose();
}
