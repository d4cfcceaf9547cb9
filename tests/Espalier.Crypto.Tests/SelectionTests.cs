using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto.Tests;

/// <summary>The choice among engines, and the self-test before it.</summary>
public sealed class SelectionTests
{
    public enum Fault
    {
        WrongTag,
        WrongCiphertextBehind1000Bytes,
        AcceptsForged,
        KeepsCiphertext,
        Throws,
        RefusesToOpen,
    }

    public static TheoryData<string> Names => new(Engines.Names);

    public static TheoryData<Fault> Faults => new(Enum.GetValues<Fault>());

    [Theory]
    [MemberData(nameof(Names))]
    public void SelfTest_EngineThatIsHere_Passes(string name) => Assert.Null(EngineSelfTest.Check(Engines.Open(name)));

    [Theory]
    [MemberData(nameof(Faults))]
    public void SelfTest_BrokenEngine_IsRefused(Fault fault)
    {
        Assert.NotNull(EngineSelfTest.Check(new FaultyEngine(fault)));
        var choice = CryptoEngines.Choose("faulty", Candidates(fault));
        Assert.Same(CryptoEngine.System, choice.Engine);
        Assert.Contains("faulty: its self-test fails", choice.Refused, StringComparison.Ordinal);
        choice = CryptoEngines.Choose(CryptoEngines.Auto, Candidates(fault));
        Assert.Same(CryptoEngine.System, choice.Engine);
        Assert.Contains("faulty: its self-test fails", choice.Refused, StringComparison.Ordinal);
    }

    [Fact]
    public void Auto_GoodEngines_TakesTheFirst()
    {
        var choice = CryptoEngines.Choose(CryptoEngines.Auto, Candidates(null));
        Assert.Equal("faulty", choice.Engine.Name);
        Assert.Null(choice.Refused);
        Assert.Null(choice.Faster);
    }

    [Fact]
    public void Auto_OnlyManagedCodeLeft_IsSystemAndNotBouncyCastle()
    {
        EngineCandidate[] candidates = [Missing("fast"), Here(CryptoEngine.BouncyCastle), Here(CryptoEngine.System)];
        var choice = CryptoEngines.Choose(CryptoEngines.Auto, candidates);
        Assert.Same(CryptoEngine.System, choice.Engine);
        Assert.Null(choice.Refused);
    }

    [Fact]
    public void System_FasterEngineThere_IsNamed()
    {
        Assert.Equal("faulty", CryptoEngines.Choose("system", Candidates(null)).Faster);
        Assert.Null(CryptoEngines.Choose("system", [Missing("fast"), Here(CryptoEngine.System)]).Faster);
    }

    [Fact]
    public void Named_Missing_FallsBackToSystemAndSaysWhy()
    {
        var choice = CryptoEngines.Choose("fast", [Missing("fast"), Here(CryptoEngine.System)]);
        Assert.Same(CryptoEngine.System, choice.Engine);
        Assert.Equal("fast: it is not installed", choice.Refused);
    }

    [Fact]
    public void Names_OfTheCommandLine_AreAllEnginesAndAuto() => Assert.Equal(["system", "ipsec-mb", "openssl", "bouncycastle", "auto"], CryptoEngines.Names);

    [Fact]
    public void BouncyCastle_Chosen_IsUsed() => Assert.Same(CryptoEngine.BouncyCastle, CryptoEngines.Choose("bouncycastle").Engine);

    private static EngineCandidate[] Candidates(Fault? fault) => [new("faulty", () => null, () => new FaultyEngine(fault)), Here(CryptoEngine.System)];

    private static EngineCandidate Here(CryptoEngine engine) => new(engine.Name, () => null, () => engine);

    private static EngineCandidate Missing(string name) => new(name, () => "it is not installed", () => throw new InvalidOperationException());

    private sealed class FaultyEngine(Fault? fault) : CryptoEngine
    {
        public override string Name => "faulty";

        public override string Library => "none";

        public override ReadOnlySpan<int> TagLengths(AeadMode mode) => mode == AeadMode.AesGcm ? new[] { 16 } : [];

        public override AeadCipher Create(AeadMode mode, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction) =>
            fault == Fault.Throws ? throw new CryptographicException("no")
            : new FaultyCipher(fault, System.Create(mode, key, tagLength, direction));
    }

    private sealed class FaultyCipher(Fault? fault, AeadCipher inner) : AeadCipher
    {
        public override bool TrySeal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag)
        {
            bool done = inner.TrySeal(nonce, associatedData, text, tag);
            tag[^1] ^= (byte)(fault == Fault.WrongTag ? 1 : 0);
            if (text.Length > 1_000 && fault == Fault.WrongCiphertextBehind1000Bytes)
            {
                text[1_000] ^= 1;
            }

            return done;
        }

        public override bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
        {
            byte[] ciphertext = [.. text];
            bool opened = inner.TryOpen(nonce, associatedData, text, tag);
            if (fault == Fault.KeepsCiphertext)
            {
                ciphertext.CopyTo(text);
            }

            return fault != Fault.RefusesToOpen && (opened || fault == Fault.AcceptsForged);
        }

        protected override void Dispose(bool disposing) => inner.Dispose();
    }
}
