using Espalier.Lab.Reporting;
using Espalier.Testing;

namespace Espalier.Lab.Tests;

/// <summary>The report in a real browser: every picture has a size, nothing is wider than the window, as on a desk so on a phone.</summary>
public sealed class BrowserTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("espalier-lab-browser").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(1200)]
    [InlineData(500)] // the least that headless Chromium makes of a window
    public void Report_InChromium_IsLaidOut(int width)
    {
        Requirement.Tool("chromium");
        Report.Write([Samples.Measured()], _folder);
        string page = Path.Combine(_folder, "measured.html");
        File.WriteAllText(page, File.ReadAllText(Path.Combine(_folder, "report.html")).Replace(
            "</body>",
            """
            <script>
            const sizes = [...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect());
            const root = document.documentElement;
            document.title = `pictures ${sizes.length}, empty ${sizes.filter(s => s.width < 100 || s.height < 30).length}, wider ${Math.max(0, root.scrollWidth - root.clientWidth)}`;
            </script></body>
            """,
            StringComparison.Ordinal));
        var dom = Command.Try("chromium", ["--headless", "--no-sandbox", "--disable-gpu", $"--user-data-dir={_folder}/profile", $"--window-size={width},900", "--dump-dom", $"file://{page}"], 60);
        int pictures = Sections.Build(Samples.Measured()).Sum(section => section.Figures.Count);
        Assert.True(pictures > 0);
        Assert.Contains($"<title>pictures {pictures}, empty 0, wider 0</title>", dom.Output, StringComparison.Ordinal);
    }
}
