using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Espalier.CommandLine;

/// <summary>Options with numbers, decimal or 0x…, within limits.</summary>
internal static class Numbers
{
    /// <summary>
    /// An option for a number from <paramref name="least"/> to <paramref name="most"/>; <paramref name="objection"/> says why one of these is refused.
    /// </summary>
    internal static Option<uint> Option(
        string name, string description, uint value, uint least, uint most, string helpName = "NUMBER", Func<uint, string?>? objection = null)
    {
        var option = new Option<uint>(name)
        {
            Description = description,
            HelpName = helpName,
            DefaultValueFactory = _ => value,
        };
        option.CustomParser = result => Parse(result, name, least, most, objection);
        return option;
    }

    private static uint Parse(ArgumentResult result, string name, uint least, uint most, Func<uint, string?>? objection)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        bool isHexadecimal = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool isNumber = uint.TryParse(
            isHexadecimal ? text.AsSpan(2) : text, isHexadecimal ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out uint number);
        if (!isNumber || number < least || number > most)
        {
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} takes a number from {least} to {most}, not '{text}'"));
        }
        else if (objection?.Invoke(number) is { } reason)
        {
            result.AddError(reason);
        }

        return number;
    }
}
