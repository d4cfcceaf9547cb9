using System.Xml.Linq;

namespace Espalier.Architecture.Tests;

// Wire ◀ Ipsec ◀ {Crypto, DataPlane, Xfrm, Routing} ◀ Espalier; Wire ◀ Io ◀ {DataPlane, Xfrm, Routing}.
public sealed class ProjectReferenceTests
{
    private static readonly Dictionary<string, string[]> _allowed = new()
    {
        ["Espalier.Wire"] = [],
        ["Espalier.Io"] = ["Espalier.Wire"],
        ["Espalier.Ipsec"] = ["Espalier.Wire"],
        ["Espalier.Crypto"] = ["Espalier.Wire", "Espalier.Ipsec"],
        ["Espalier.DataPlane"] = ["Espalier.Wire", "Espalier.Ipsec", "Espalier.Io"],
        ["Espalier.Xfrm"] = ["Espalier.Wire", "Espalier.Ipsec", "Espalier.Io"],
        ["Espalier.Routing"] = ["Espalier.Wire", "Espalier.Ipsec", "Espalier.Io"],
        ["Espalier"] = ["Espalier.Wire", "Espalier.Ipsec", "Espalier.Io", "Espalier.Crypto", "Espalier.DataPlane", "Espalier.Xfrm", "Espalier.Routing"],
    };

    private static readonly string[] _projectFolders = ["src", "tests", "bench"];

    public static TheoryData<string> Projects() => [.. ProjectsIn("src")];

    [Theory]
    [MemberData(nameof(Projects))]
    public void SourceProject_References_GoDownOnly(string project)
    {
        Assert.True(_allowed.ContainsKey(project), $"{project} is new: say here what it may refer to");
        Assert.Empty(References(project).Except(_allowed[project]));
    }

    [Fact]
    public void SourceFolder_Projects_AreTheOnesOfTheDesign() => Assert.Equal(_allowed.Keys.Order(), ProjectsIn("src").Order());

    // The layers of the protocol need nothing else; what a project depends on is seen in its file.
    [Fact]
    public void Wire_Packages_AreNone() => Assert.Empty(Load("Espalier.Wire").Descendants("PackageReference"));

    [Fact]
    public void SourceProjects_AllowUnsafeBlocks_OnlyInCryptoAndIo() =>
        Assert.Equal(["Espalier.Crypto", "Espalier.Io"], ProjectsIn("src").Where(project => Load(project).Descendants("AllowUnsafeBlocks").Any()));

    [Fact]
    public void SourceProjects_PackageVersions_AreCentral() =>
        Assert.All(ProjectsIn("src"), project => Assert.All(
            Load(project).Descendants("PackageReference"), reference => Assert.Null(reference.Attribute("Version"))));

    [Fact]
    public void Solution_Projects_AreAllThereAre()
    {
        var inSolution = XDocument.Parse(Repository.Read("Espalier.slnx")).Descendants("Project").Select(project => project.Attribute("Path")!.Value);
        var inTree = _projectFolders.Where(folder => Directory.Exists(Path.Combine(Repository.Root, folder)))
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.csproj", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'));
        Assert.Equal(inTree.Order(StringComparer.Ordinal), inSolution.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> ProjectsIn(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.csproj", SearchOption.AllDirectories)
            .Select(file => Path.GetFileNameWithoutExtension(file)!)
            .Order(StringComparer.Ordinal);

    private static IEnumerable<string> References(string project) =>
        Load(project).Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value.Replace('\\', '/')));

    private static XDocument Load(string project) => XDocument.Parse(Repository.Read($"src/{project}/{project}.csproj"));
}
