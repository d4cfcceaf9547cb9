namespace Espalier.Ipsec.Tests;

public class DropReasonTests
{
    [Fact]
    public void ToXfrmStatistic_EveryReason_HasACounterOfItsDirection()
    {
        foreach (var reason in Enum.GetValues<DropReason>().Where(r => r != DropReason.Count))
        {
            string name = reason.ToXfrmStatistic().ToString();
            string expected = reason switch
            {
                DropReason.None or DropReason.InboundDummy => "None",
                DropReason.PoolEmpty => "XfrmIn",
                DropReason.InboundSaLarval => "XfrmAcquireError",
                _ when reason.ToString().StartsWith("Inbound", StringComparison.Ordinal) => "XfrmIn",
                _ => "XfrmOut",
            };
            Assert.True(name.StartsWith(expected, StringComparison.Ordinal), $"{reason} is counted as {name}");
        }
    }

    [Fact]
    public void ToXfrmStatistic_NoReason_Throws()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => DropReason.Count.ToXfrmStatistic());
        Assert.Throws<ArgumentOutOfRangeException>(() => ((DropReason)255).ToXfrmStatistic());
    }

    [Fact]
    public void XfrmStatistic_NamesAndOrder_AreTheKernels()
    {
        const string File = "/proc/net/xfrm_stat";
        Assert.SkipUnless(System.IO.File.Exists(File), $"needs {File}: a kernel with XFRM statistics");
        string[] kernel = [.. System.IO.File.ReadLines(File).Select(line => line.Split((char[])[' ', '\t'])[0])];
        string[] ours = [.. Enum.GetNames<XfrmStatistic>().Skip(1)];

        // A newer kernel may have more at its end, an older one fewer.
        int common = Math.Min(kernel.Length, ours.Length);
        Assert.Equal(kernel[..common], ours[..common]);
        Assert.True(common >= 28);
    }
}
