namespace Espalier.Statistics;

/// <summary>Columns as wide as their widest cell, two spaces between.</summary>
internal sealed class TextTable(params string[] heads)
{
    private readonly List<string[]> _rows = [];

    /// <summary>The first column that is aligned to the right, as all after it.</summary>
    internal int RightFrom { get; init; } = int.MaxValue;

    /// <summary>True without rows.</summary>
    internal bool IsEmpty => _rows.Count == 0;

    /// <summary>Number of rows.</summary>
    internal int Count => _rows.Count;

    /// <summary>Adds a row, a cell a column.</summary>
    internal void Add(params string[] cells) => _rows.Add(cells);

    /// <summary>Writes heads and rows, without spaces at the ends of lines.</summary>
    internal void Write(TextWriter output)
    {
        int[] widths = [.. heads.Select((head, i) => _rows.Select(row => row[i].Length).Append(head.Length).Max())];
        foreach (string[] row in _rows.Prepend(heads))
        {
            output.WriteLine(string.Join("  ", row.Select((cell, i) => i >= RightFrom ? cell.PadLeft(widths[i]) : cell.PadRight(widths[i]))).TrimEnd());
        }
    }
}
