namespace Espalier.Lab.Measuring;

/// <summary>Student's t: how many standard errors reach to either side of a mean for a probability of 95 %.</summary>
internal static class StudentT
{
    private const double Normal = 1.959964;
    private static readonly double[] _table = [double.NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306];

    /// <summary>Of a table to eight degrees of freedom; of more by the expansion of Cornish and Fisher, which is right to three digits there.</summary>
    public static double Quantile(int freedom)
    {
        if (freedom < _table.Length)
        {
            return _table[freedom];
        }

        const double z = Normal, z2 = z * z;
        double n = freedom;
        return z * (1 + ((z2 + 1) / (4 * n)) + (((((5 * z2) + 16) * z2) + 3) / (96 * n * n)) + (((((((3 * z2) + 19) * z2) + 17) * z2) - 15) / (384 * n * n * n)));
    }
}
