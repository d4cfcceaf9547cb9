using System.Buffers.Binary;
using Espalier.Crypto.IpsecMb;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.Benchmarks.Esp;

/// <summary>
/// One SA each way and a batch of <see cref="Workload.Packets"/> slots, each holding an IPv4 packet. What one packet costs in the library: framing, padding, sequence
/// number, replay window, limits, counters and the crypto; and the crypto alone on the same bytes.
/// </summary>
internal sealed class EspScenario : IDisposable
{
    private const int Headroom = 32;
    private const int Tailroom = 64;
    private const int IcvLength = 16;
    private readonly int[] _lengths;
    private readonly int _slot;
    private readonly SecurityAssociation _outbound, _inbound;
    private readonly AeadCipher _sealer, _opener;
    private readonly byte[] _plain, _sealed, _work;
    private readonly EspFrame[] _frames = new EspFrame[Workload.Packets];
    private readonly EspFrame[] _arrived = new EspFrame[Workload.Packets];
    private readonly NativeCall? _native;
    private readonly byte[] _nonce = new byte[12];
    private ulong _nonceCounter;

    internal EspScenario(CryptoEngine engine, PacketSize size)
    {
        _lengths = [.. Workload.Lengths(size, Workload.Packets)];
        _slot = Headroom + _lengths.Max() + Tailroom;
        byte[] key = new byte[20];
        new Random(1).NextBytes(key);
        _outbound = Sa(engine, key, window: 0);
        _inbound = Sa(engine, key, window: 128);
        _sealer = engine.Create(AeadMode.AesGcm, key.AsSpan(0, 16), IcvLength, TransformDirection.Seal);
        _opener = engine.Create(AeadMode.AesGcm, key.AsSpan(0, 16), IcvLength, TransformDirection.Open);
        _native = engine is IpsecMbEngine ipsecMb ? new NativeCall(ipsecMb, key.AsSpan(0, 16)) : null;
        key.AsSpan(16).CopyTo(_nonce);
        _plain = GC.AllocateArray<byte>(Workload.Packets * _slot, pinned: true);
        _sealed = GC.AllocateArray<byte>(Workload.Packets * _slot, pinned: true);
        _work = GC.AllocateArray<byte>(Workload.Packets * _slot, pinned: true);
        for (int at = 0; at < _lengths.Length; at++)
        {
            var inner = _plain.AsSpan(at * _slot + Headroom, _lengths[at]);
            inner[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(inner[2..], (ushort)inner.Length);
        }

        _plain.CopyTo(_sealed, 0);
        for (int at = 0; at < _lengths.Length; at++)
        {
            Prepare(_sealed, at);
            _outbound.Transform!.SealBatch(_sealed, _frames.AsSpan(at, 1));
        }

        _frames.CopyTo(_arrived, 0);
    }

    /// <summary>Seals each packet by itself.</summary>
    internal void Seal()
    {
        for (int at = 0; at < _lengths.Length; at++)
        {
            Prepare(_work, at);
            _outbound.Transform!.SealBatch(_work, _frames.AsSpan(at, 1));
        }
    }

    /// <summary>Seals all packets as one batch.</summary>
    internal void SealBatch()
    {
        for (int at = 0; at < _lengths.Length; at++)
        {
            Prepare(_work, at);
        }

        _outbound.Transform!.SealBatch(_work, _frames);
    }

    /// <summary>The crypto of <see cref="Seal"/> alone: the library's own function where it is a single one, else the engine's cipher.</summary>
    internal void SealBare()
    {
        if (_native is not null)
        {
            for (int at = 0; at < _lengths.Length; at++)
            {
                _native.Seal(_work.AsSpan(_arrived[at].Offset, _arrived[at].Length));
            }

            return;
        }

        for (int at = 0; at < _lengths.Length; at++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(_nonce.AsSpan(4), ++_nonceCounter);
            var packet = _work.AsSpan(at * _slot, _slot);
            int text = _arrived[at].Length - EspGeometry.HeaderLength - 8 - IcvLength; // what the cipher encrypts
            _sealer.TrySeal(_nonce, packet[..8], packet.Slice(Headroom, text), packet.Slice(Headroom + text, IcvLength));
        }
    }

    /// <summary>Opens each packet by itself, from a fresh copy and with the replay window as at first.</summary>
    internal int Open()
    {
        int opened = 0;
        _inbound.Replay!.Restore(0, []);
        for (int at = 0; at < _lengths.Length; at++)
        {
            opened += Check(at) ? 1 : 0;
            _inbound.Transform!.OpenBatch(_work, _arrived.AsSpan(at, 1));
            opened += Commit(at) ? 1 : 0;
        }

        return opened;
    }

    /// <summary>Opens all packets as one batch.</summary>
    internal int OpenBatch()
    {
        int opened = 0;
        _inbound.Replay!.Restore(0, []);
        for (int at = 0; at < _lengths.Length; at++)
        {
            opened += Check(at) ? 1 : 0;
        }

        _inbound.Transform!.OpenBatch(_work, _arrived);
        for (int at = 0; at < _lengths.Length; at++)
        {
            opened += Commit(at) ? 1 : 0;
        }

        return opened;
    }

    /// <summary>The crypto of <see cref="Open"/> alone, from a fresh copy.</summary>
    internal int OpenBare()
    {
        int opened = 0;
        for (int at = 0; at < _lengths.Length; at++)
        {
            opened += OpenBare(Copy(at)) ? 2 : 0;
        }

        return opened;
    }

    /// <summary>The crypto of <see cref="OpenBatch"/> alone: all are copied before the first is opened, as there.</summary>
    internal int OpenBatchBare()
    {
        int opened = 0;
        for (int at = 0; at < _lengths.Length; at++)
        {
            Copy(at);
        }

        for (int at = 0; at < _lengths.Length; at++)
        {
            opened += OpenBare(_work.AsSpan(_arrived[at].Offset, _arrived[at].Length)) ? 2 : 0;
        }

        return opened;
    }

    public void Dispose()
    {
        _outbound.Dispose();
        _inbound.Dispose();
        _sealer.Dispose();
        _opener.Dispose();
        _native?.Dispose();
    }

    private bool OpenBare(Span<byte> packet)
    {
        if (_native is not null)
        {
            _native.Open(packet);
            return true;
        }

        packet.Slice(8, 8).CopyTo(_nonce.AsSpan(4));
        return _opener.TryOpen(_nonce, packet[..8], packet[16..^IcvLength], packet[^IcvLength..]);
    }

    private static SecurityAssociation Sa(CryptoEngine engine, byte[] key, int window)
    {
        AlgorithmSpec[] algorithms = [new(AlgorithmKind.Aead, "rfc4106(gcm(aes))", key, IcvLength * 8)];
        if (!EspTransformFactory.TryCreate(algorithms, false, engine, out var transform, out string? error))
        {
            throw new InvalidOperationException(error);
        }

        return new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(0x100), InternetAddress.Parse("192.0.2.2")),
            Source = InternetAddress.Parse("192.0.2.1"),
            State = SaState.Valid,
            Transform = transform,
            Algorithms = algorithms,
            Limits = LifetimeLimits.None,
            Replay = window == 0 ? null : new ReplayWindow(window, false),
            ReplayWindowSize = window,
        };
    }

    private void Prepare(byte[] buffer, int at)
    {
        var reason = EspEncapsulation.TryPrepare(
            _outbound, buffer.AsSpan(at * _slot, _slot), Headroom, _lengths[at], EspNextHeader.IPv4, _lengths[at], 1, out _frames[at], out _);
        if (reason != DropReason.None)
        {
            throw new InvalidOperationException(reason.ToString());
        }

        _frames[at].Offset += at * _slot;
        if (_outbound.OutboundSequence > uint.MaxValue / 2)
        {
            _outbound.OutboundSequence = 0;
        }
    }

    private Span<byte> Copy(int at)
    {
        var frame = _arrived[at];
        var packet = _work.AsSpan(frame.Offset, frame.Length);
        _sealed.AsSpan(frame.Offset, frame.Length).CopyTo(packet);
        return packet;
    }

    private bool Check(int at) => EspDecapsulation.Check(_inbound, Copy(at), out _arrived[at].Sequence, out _) == DropReason.None;

    private bool Commit(int at)
    {
        ref readonly var frame = ref _arrived[at];
        return frame.Result == DropReason.None && EspDecapsulation.Commit(
            _inbound, frame.Sequence, _work.AsSpan(frame.Offset, frame.Length), 1, out _, out _) == DropReason.None;
    }
}
