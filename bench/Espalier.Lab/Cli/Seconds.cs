using System.CommandLine;
using System.Globalization;

namespace Espalier.Lab.Cli;

/// <summary>An option that takes seconds: digits with at most a point among them, so that 1,5 is no 15 and NaN no length.</summary>
internal static class Seconds
{
    /// <summary>Makes one that takes <paramref name="least"/> to <paramref name="most"/>; another value is one line.</summary>
    public static Option<double?> Option(string description, double least, double most)
    {
        var option = new Option<double?>("--seconds") { Description = $"{description}, {Text(least)} to {Text(most)}." };
        option.CustomParser = result =>
        {
            if (double.TryParse(result.Tokens[0].Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds >= least && seconds <= most)
            {
                return seconds;
            }

            result.AddError($"--seconds takes {Text(least)} to {Text(most)}, not '{result.Tokens[0].Value}'");
            return null;
        };
        return option;
    }

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
}
