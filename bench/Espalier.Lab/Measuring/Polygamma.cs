namespace Espalier.Lab.Measuring;

/// <summary>
/// Derivatives of the logarithm of the gamma function. The logarithm of a chi-squared variable of n degrees of freedom has the mean ψ(n/2) + ln 2 and the variance ψ′(n/2).
/// </summary>
internal static class Polygamma
{
    private const double FirstOfSeries = 12;

    /// <summary>ψ, by its recurrence and then its asymptotic series.</summary>
    public static double Digamma(double x)
    {
        double sum = 0;
        for (; x < FirstOfSeries; x++)
        {
            sum -= 1 / x;
        }

        double square = 1 / (x * x);
        return sum + Math.Log(x) - (0.5 / x) - (square * ((1.0 / 12) - (square * ((1.0 / 120) - (square / 252)))));
    }

    /// <summary>ψ′, in the same way.</summary>
    public static double Trigamma(double x)
    {
        double sum = 0;
        for (; x < FirstOfSeries; x++)
        {
            sum += 1 / (x * x);
        }

        double square = 1 / (x * x);
        return sum + (1 / x) + (square / 2) + (square / x * ((1.0 / 6) - (square * ((1.0 / 30) - (square / 42)))));
    }

    /// <summary>Where ψ′ is <paramref name="value"/>, from 10⁻⁶ to 10⁶, by halving: it falls all the way.</summary>
    public static double InverseTrigamma(double value)
    {
        double low = 1e-6, high = 1e6;
        while (high / low > 1 + 1e-12)
        {
            double middle = Math.Sqrt(low * high);
            (low, high) = Trigamma(middle) > value ? (middle, high) : (low, middle);
        }

        return low;
    }
}
