using Espalier.Lab.Hosts;
using Espalier.Lab.Reporting;

namespace Espalier.Lab.Tests;

public sealed class DocumentBlocksTests : IDisposable
{
    private const string Document = "words\n<!-- lab:C1 -->\nold\n\nolder\n<!-- /lab -->\nmore words\n";

    private readonly string _folder = Directory.CreateTempSubdirectory("espalier-lab-document").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Fill_Place_IsReplacedAndTheRestStays()
    {
        string filled = DocumentBlocks.Fill(Document, name => $"{name} is so\n");
        Assert.Equal("words\n<!-- lab:C1 -->\n\nC1 is so\n\n<!-- /lab -->\nmore words\n", filled);
        Assert.Equal(filled, DocumentBlocks.Fill(filled, name => $"{name} is so\n"));
    }

    [Theory]
    [InlineData("<!-- lab:C9 -->\n<!-- /lab -->\n", "asks for 'C9'")]
    [InlineData("<!-- lab:C1 -->\nwords\n", "has no end")]
    public void Fill_WrongPlace_SaysSo(string document, string expected)
    {
        var failure = Assert.Throws<LabException>(() => DocumentBlocks.Fill(document, name => name == "C1" ? "" : null));
        Assert.Contains(expected, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhyLibipsecIsUnsupported_EveryPlace_IsFilled()
    {
        string document = Path.Combine(_folder, "why.md"), results = Path.Combine(_folder, "results");
        File.Copy(Path.Combine(Published.Root, "docs/why-libipsec-is-unsupported.md"), document);
        Report.Write([Samples.Measured()], results);
        Report.Fill([Samples.Measured()], document, results);
        string text = File.ReadAllText(document);
        Assert.DoesNotContain("Not measured yet", text, StringComparison.Ordinal);
        var pictures = System.Text.RegularExpressions.Regex.Matches(text, @"!\[[^]]*\]\(([^)]+)\)").Select(match => match.Groups[1].Value).ToArray();
        Assert.NotEmpty(pictures);
        Assert.All(pictures, picture => Assert.True(File.Exists(Path.Combine(_folder, picture)), picture));
    }
}
