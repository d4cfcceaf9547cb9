using Espalier.Io.Interop;
using Espalier.Testing;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>The running kernel's own XFRM in a network namespace of the test: a socket that asks, and one that listens to every group.</summary>
internal sealed unsafe class KernelOracle : IDisposable
{
    private readonly NetworkNamespace _namespace;
    private readonly SafeDescriptor _requests;
    private readonly SafeDescriptor _events;
    private readonly byte[] _buffer = new byte[128 * 1024];

    public KernelOracle()
    {
        _namespace = NetworkNamespace.Create("oracle");
        (_requests, _events) = _namespace.Run(() => (Open(0), Open(0xff)));
        Assert.SkipWhen(_requests.IsInvalid, "needs a kernel with XFRM");
    }

    /// <summary>Sends a request; returns the datagrams of its answer and those of the notifications that it caused.</summary>
    public (List<byte[]> Answers, List<byte[]> Notifications) Ask(byte[] request)
    {
        fixed (byte* data = request)
        {
            Assert.Equal(request.Length, (int)Libc.sendto(_requests, data, (nuint)request.Length, 0, null, 0));
        }

        return (Drain(_requests), Drain(_events));
    }

    public void Dispose()
    {
        _requests.Dispose();
        _events.Dispose();
        _namespace.Dispose();
    }

    private static SafeDescriptor Open(uint groups)
    {
        var descriptor = new SafeDescriptor(Libc.socket(16, 3 | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, (int)ControlMessage.NetlinkXfrm));
        if (!descriptor.IsInvalid)
        {
            sockaddr_nl address = new() { nl_family = 16, nl_groups = groups };
            Assert.Equal(0, Libc.bind(descriptor, &address, (uint)sizeof(sockaddr_nl)));
            int one = 1;
            Assert.Equal(0, Libc.setsockopt(descriptor, 270, 11, &one, sizeof(int)));
        }

        return descriptor;
    }

    // The kernel has queued what it has to say before send returns; a dump goes on with each read.
    private List<byte[]> Drain(SafeDescriptor descriptor)
    {
        var all = new List<byte[]>();
        fixed (byte* buffer = _buffer)
        {
            while (true)
            {
                nint length = Libc.recvfrom(descriptor, buffer, (nuint)_buffer.Length, 0, null, null);
                if (length <= 0)
                {
                    return all;
                }

                all.Add(_buffer[..(int)length]);
            }
        }
    }
}
