using Espalier.Running.Composition;

namespace Espalier.Program.Tests;

/// <summary>What the log says of workers: --spread is only said to be in use where it is.</summary>
public sealed class WorkersTextTests
{
    [Theory]
    [InlineData(1, false, "one worker each way")]
    [InlineData(1, true, "one worker each way, so --spread has no effect")]
    [InlineData(2, false, "2 workers each way, as many TUN queues")]
    [InlineData(2, true, "2 workers each way, as many TUN queues, an outbound SA spread over them")]
    public void Workers_WithAndWithoutSpread_SayWhatIsInEffect(int pairs, bool spread, string expected) =>
        Assert.Equal(expected, KernelDevices.Workers(pairs, spread));
}
