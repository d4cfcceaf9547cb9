namespace Espalier.Lab.Measuring;

/// <summary>Student's t: how many standard errors reach to either side of a mean for a probability.</summary>
internal static class StudentT
{
    private const int Steps = 2048;

    /// <summary>
    /// With t = √freedom·tan(angle) the density is that of cos(angle)^(freedom - 1) from 0 to a right angle, which is summed by trapezoids: right to four digits,
    /// also of degrees of freedom between two whole numbers, of which there must be at least one.
    /// </summary>
    public static double Quantile(double freedom, double probability = 0.95)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(freedom, 1);
        const double step = Math.PI / 2 / Steps;
        Span<double> sums = stackalloc double[Steps + 1];
        double before = 1;
        for (int i = 1; i <= Steps; i++)
        {
            double density = Math.Pow(Math.Cos(i * step), freedom - 1);
            sums[i] = sums[i - 1] + before + density;
            before = density;
        }

        double wanted = probability * sums[Steps];
        int at = sums.BinarySearch(wanted);
        at = at >= 0 ? at : ~at;
        double angle = (at - ((sums[at] - wanted) / (sums[at] - sums[at - 1]))) * step;
        return Math.Sqrt(freedom) * Math.Tan(angle);
    }
}
