using Espalier.Lab.Traffic.Interop;
using Espalier.Testing;

namespace Espalier.Lab.Tests;

public sealed unsafe class InteropTests
{
    [Fact]
    public void Structs_Sizes_AreTheCompilers()
    {
        CompilerFacts.Require();
        long[] expected = CompilerFacts.Evaluate(
            ["sys/socket.h", "sys/uio.h", "time.h"], ["sizeof(struct mmsghdr)", "sizeof(struct msghdr)", "sizeof(struct iovec)", "sizeof(struct timespec)"]);
        Assert.Equal(expected, (long[])[sizeof(mmsghdr), sizeof(msghdr), sizeof(iovec), sizeof(timespec)]);
    }

    [Fact]
    public void Constants_Values_AreTheCompilers()
    {
        CompilerFacts.Require();
        long[] values = CompilerFacts.Evaluate(
            ["sys/socket.h", "time.h", "errno.h"], ["MSG_WAITFORONE", "SO_SNDBUFFORCE", "SO_RCVBUFFORCE", "CLOCK_MONOTONIC", "TIMER_ABSTIME", "ENOBUFS", "EHOSTUNREACH"]);
        Assert.Equal((long[])[0x10000, 32, 33, 1, 1, 105, 113], values);
    }
}
