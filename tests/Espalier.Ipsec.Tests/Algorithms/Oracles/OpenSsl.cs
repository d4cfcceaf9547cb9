using System.Diagnostics;

namespace Espalier.Ipsec.Tests.Algorithms.Oracles;

/// <summary>The program <c>openssl</c>: the oracle for what Espalier has from BouncyCastle.</summary>
internal static class OpenSsl
{
    private static readonly Lazy<bool> s_present = new(static () =>
    {
        try
        {
            return Run(["version"], []).Length > 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    });

    public static void SkipWithout() => Assert.SkipUnless(s_present.Value, "needs the program openssl");

    public static byte[] CamelliaCbc(bool encrypt, byte[] key, byte[] iv, byte[] input) => Run(
        ["enc", encrypt ? "-e" : "-d", $"-camellia-{key.Length * 8}-cbc", "-K", Convert.ToHexString(key), "-iv", Convert.ToHexString(iv), "-nopad"],
        input);

    private static byte[] Run(string[] arguments, byte[] input)
    {
        var start = new ProcessStartInfo("openssl", arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var output = new MemoryStream();
        var reading = process.StandardOutput.BaseStream.CopyToAsync(output);
        process.StandardInput.BaseStream.Write(input);
        process.StandardInput.Close();
        reading.GetAwaiter().GetResult();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output.ToArray();
    }
}
