using System.Runtime.InteropServices;
using SharpFuzz;
using SharpFuzz.Common;

namespace Espalier.Fuzz;

/// <summary>The program that tests/fuzz runs below afl-fuzz; also writes the inputs to start from, and runs inputs without it.</summary>
internal static class Program
{
    private const string Usage = """
        Espalier.Fuzz list                    the targets
        Espalier.Fuzz seeds DIR               writes what each target starts from to DIR/TARGET
        Espalier.Fuzz replay TARGET FILE…     runs inputs as they are, without a fuzzer; ends with 1 if an invariant does not hold
        Espalier.Fuzz fuzz TARGET             to be started by afl-fuzz
        """;

    // Bytes of afl-fuzz's map.
    private const int MapSize = 1 << 16;

    public static int Main(string[] arguments)
    {
        CountIntoNothing();
        try
        {
            return arguments switch
            {
                ["list"] => List(),
                ["seeds", var folder] => WriteSeeds(folder),
                ["replay", var name, .. var files] => Replay(FuzzTargets.Find(name), files),
                ["fuzz", var name] => Fuzz(FuzzTargets.Find(name)),
                _ => Refuse(Usage),
            };
        }
        catch (Exception exception) when (exception is ArgumentException or IOException)
        {
            return Refuse($"Espalier.Fuzz: {exception.Message}");
        }
    }

    private static int List()
    {
        foreach (var target in FuzzTargets.All())
        {
            Console.WriteLine(target.Name);
        }

        return 0;
    }

    private static int WriteSeeds(string folder)
    {
        foreach (var target in FuzzTargets.All())
        {
            var below = Directory.CreateDirectory(Path.Combine(folder, target.Name));
            int number = 0;
            foreach (byte[] seed in target.Seeds())
            {
                File.WriteAllBytes(Path.Combine(below.FullName, $"{number++:d3}"), seed);
            }
        }

        return 0;
    }

    private static int Replay(FuzzTarget target, string[] files)
    {
        int failures = 0;
        foreach (string file in files)
        {
            byte[] input = File.ReadAllBytes(file);
            try
            {
                target.Run(input);
                Console.WriteLine($"{file}: holds");
            }
#pragma warning disable CA1031 // Whatever is thrown is what is looked for.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                failures++;
                Console.WriteLine($"{file}: {exception}");
            }
        }

        return failures == 0 ? 0 : 1;
    }

    private static int Fuzz(FuzzTarget target)
    {
        // What happens once is done before anything is counted: else the same input would take other ways the second time.
        foreach (byte[] seed in target.Seeds())
        {
            target.Run(seed);
        }

        Fuzzer.Run(stream =>
        {
            using var input = new MemoryStream();
            stream.CopyTo(input);
            target.Run(input.GetBuffer().AsSpan(0, (int)input.Length));
        });
        return 0;
    }

    // Instrumented code counts wherever it runs, also before Fuzzer.Run says where.
    private static unsafe void CountIntoNothing() => Trace.SharedMem = (byte*)NativeMemory.AllocZeroed(MapSize);

    private static int Refuse(string text)
    {
        Console.Error.WriteLine(text);
        return 2;
    }
}
