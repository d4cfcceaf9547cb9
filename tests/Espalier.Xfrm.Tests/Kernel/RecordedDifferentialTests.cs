namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>
/// SAs with ESP, which the kernel at hand may not have: the requests that Recorded/*.txt hold, and what Debian's Linux 6.1.176 to 6.1.192 (amd64, esp4 and esp6 loaded, a
/// namespace for each scenario) answered to them. See <see cref="Comparison"/>. Of each line the first character says what it is:
/// <code>
/// #  remark     =  scenario     >  request     &lt;  answer     !  notification
/// </code>
/// The index of a policy, which that kernel counts for all namespaces together, is set to 1 there, as later kernels have it.
/// </summary>
public sealed class RecordedDifferentialTests
{
    public static TheoryData<string, string> Scenarios()
    {
        var data = new TheoryData<string, string>();
        foreach (string file in Directory.GetFiles(Folder, "*.txt").Order(StringComparer.Ordinal))
        {
            foreach (string line in File.ReadLines(file).Where(line => line.StartsWith('=')))
            {
                data.Add(Path.GetFileName(file), line[2..]);
            }
        }

        return data;
    }

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Kernel", "Recorded");

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Associations_AsRecordedFromLinux61_AreAnsweredAlike(string file, string scenario)
    {
        var exchanges = Read(file, scenario);
        Assert.NotEmpty(exchanges);
        using var next = exchanges.GetEnumerator();

        Comparison.Compare(
            _ =>
            {
                next.MoveNext();
                return (next.Current.Answers, next.Current.Notifications);
            },
            texts: false,
            exchanges.Select(exchange => exchange.Request));
    }

    private static List<Exchange> Read(string file, string scenario)
    {
        var exchanges = new List<Exchange>();
        foreach (string line in File.ReadLines(Path.Combine(Folder, file)).SkipWhile(line => line != $"= {scenario}").Skip(1).TakeWhile(line => !line.StartsWith('=')))
        {
            if (line.Length == 0)
            {
                continue;
            }

            byte[] datagram = Convert.FromHexString(line.AsSpan(2));
            if (line[0] == '>')
            {
                exchanges.Add(new Exchange(datagram, [], []));
            }
            else
            {
                (line[0] == '<' ? exchanges[^1].Answers : exchanges[^1].Notifications).Add(datagram);
            }
        }

        return exchanges;
    }

    private sealed record Exchange(byte[] Request, List<byte[]> Answers, List<byte[]> Notifications);
}
