using System.Text;
using Espalier.Ipsec;

namespace Espalier.Routing.Guard;

/// <summary>A set of nftables and what is to change in it. Several policies may stand for one element, so elements are counted.</summary>
internal sealed class GuardSet(string name, string type)
{
    // nft takes any number in one command; lines of this many elements stay readable in an error.
    private const int ElementsPerCommand = 512;

    private readonly Dictionary<string, int> _elements = [];
    private readonly HashSet<string> _applied = [];
    private HashSet<string> _touched = [];

    internal string Type => type;

    /// <summary>Counts an element up or down.</summary>
    internal void Change(string element, int difference)
    {
        int count = _elements.GetValueOrDefault(element) + difference;
        if (count <= 0)
        {
            _elements.RemoveAndShrink(element);
        }
        else
        {
            _elements[element] = count;
        }

        _touched.Add(element);
    }

    /// <summary>Takes over what the kernel holds under this name.</summary>
    internal void TakeOver(GuardSet? before)
    {
        if (before is not null)
        {
            foreach (string element in before._applied)
            {
                _applied.Add(element);
                _touched.Add(element);
            }
        }
    }

    /// <summary>Writes the commands for what changed since the last call.</summary>
    internal void Write(StringBuilder script, string table)
    {
        List<string> added = [], removed = [];
        foreach (string element in _touched)
        {
            bool wanted = _elements.ContainsKey(element), there = _applied.Contains(element);
            if (wanted && !there)
            {
                added.Add(element);
                _applied.Add(element);
            }
            else if (!wanted && there)
            {
                removed.Add(element);
                _applied.RemoveAndShrink(element);
            }
        }

        _touched = [];
        Write(script, table, "delete", removed);
        Write(script, table, "add", added);
    }

    private void Write(StringBuilder script, string table, string verb, List<string> elements)
    {
        for (int start = 0; start < elements.Count; start += ElementsPerCommand)
        {
            var part = elements.GetRange(start, Math.Min(ElementsPerCommand, elements.Count - start));
            script.Append(verb).Append(" element ").Append(table).Append(' ').Append(name).Append(" { ").AppendJoin(", ", part).AppendLine(" }");
        }
    }
}
