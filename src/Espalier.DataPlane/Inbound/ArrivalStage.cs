using System.Buffers.Binary;
using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Inbound;

/// <summary>
/// First stage inbound: what came from an outer socket is sorted out, and an ESP packet meets its SA and every check that needs no key,
/// in the order of the kernel's xfrm_input:
/// <code>
///   keepalive │ cut off │ IKE │ SPI │ SAD │ state │ encapsulation │ length and alignment │ limits │ replay window
///       └ ends here        └ to its daemon
/// </code>
/// </summary>
internal sealed class ArrivalStage(IpsecDatabase database, IPortRelay? relay, WorkerCounters counters, SaClaims? claims)
{
    private const byte Keepalive = 0xFF;
    private const int MessageTooLong = 90;

    // The SA of the packet before, in the same batch.
    private SecurityAssociation? _latest;

    /// <summary>
    /// Checks the packets of a batch from <paramref name="start"/> on. Those that go on stand in <paramref name="frames"/>; the others are counted.
    /// </summary>
    /// <returns>Where to go on once the frames are opened and delivered: the end, or a packet whose SA another worker owns.</returns>
    public int Check(PacketBatch batch, IOuterSocket socket, int start, FrameList frames)
    {
        int end = CheckEach(batch, socket.LocalPort, start, frames);

        // An SA may be disposed between batches.
        _latest = null;
        return end;
    }

    private int CheckEach(PacketBatch batch, ushort port, int start, FrameList frames)
    {
        bool isUdp = port != 0;
        for (int i = start; i < batch.Count; i++)
        {
            var esp = batch.Packet(i);

            // RFC 3948 §2.3: a keepalive is one byte, 0xFF. Nothing is changed by one.
            if (isUdp && esp.Length == 1 && esp[0] == Keepalive)
            {
                counters.Add(TrafficCounter.Keepalives);
                continue;
            }

            if (isUdp && relay is not null && !IsEsp(esp) && !batch[i].Truncated)
            {
                GiveBack(batch[i], esp, port);
                continue;
            }

            var reason = Check(batch[i], esp, isUdp, out var association, out ulong sequence, out bool isTaken);
            if (isTaken)
            {
                return i;
            }

            if (reason == DropReason.None)
            {
                frames.Next = new EspFrame { Offset = batch[i].Offset, Length = esp.Length, Sequence = sequence };
                frames.Add(association!, i);
            }
            else
            {
                counters.Drop(reason);
            }
        }

        return batch.Count;
    }

    // RFC 3948 §2.2: four zero bytes in the place of the SPI mark an IKE message. As in the kernel, so is what has no room for more than the ESP header.
    private static bool IsEsp(ReadOnlySpan<byte> payload) =>
        payload.Length > EspGeometry.HeaderLength && BinaryPrimitives.ReadUInt32BigEndian(payload) != 0;

    private void GiveBack(in PacketSlot slot, ReadOnlySpan<byte> payload, ushort port)
    {
        switch (relay!.Relay(slot, payload, port))
        {
            case 0:
                counters.Add(TrafficCounter.IkeRelayed);
                break;
            case MessageTooLong:
                counters.Drop(DropReason.InboundIkeTooLarge);
                break;
            default:
                counters.Drop(DropReason.InboundIkeRefused);
                break;
        }
    }

    private SecurityAssociation? Find(Spi spi, in InternetAddress destination)
    {
        if (_latest is not { } latest || latest.Id.Spi != spi || latest.Id.Destination != destination)
        {
            _latest = database.Sad.Find(new SaIdentity(spi, destination));
        }

        return _latest;
    }

    private DropReason Check(
        in PacketSlot slot, ReadOnlySpan<byte> esp, bool isUdp, out SecurityAssociation? association, out ulong sequence, out bool isTaken)
    {
        isTaken = false;
        association = null;
        sequence = 0;
        if (slot.Truncated)
        {
            return DropReason.InboundOversized;
        }

        if (esp.Length < sizeof(uint))
        {
            return DropReason.InboundMalformedEsp;
        }

        // RFC 3948 §2.2: four zero bytes in the place of the SPI mark an IKE message.
        var spi = new Spi(BinaryPrimitives.ReadUInt32BigEndian(esp));
        if (spi.Value == 0 && isUdp)
        {
            return DropReason.InboundIkeWithoutDaemon;
        }

        if (esp.Length < EspGeometry.HeaderLength)
        {
            return DropReason.InboundMalformedEsp;
        }

        association = spi.Value == 0 ? null : Find(spi, slot.Local);
        if (association is null)
        {
            return spi.IsReserved ? DropReason.InboundReservedSpi : DropReason.InboundUnknownSpi;
        }

        if (claims is not null && !claims.TryTake(association))
        {
            if (!claims.IsEmpty)
            {
                isTaken = true;
                return DropReason.None;
            }

            claims.Wait(association);
        }

        if (association.State == SaState.Valid && association.Encapsulation is not null != isUdp)
        {
            return DropReason.InboundEncapsulationMismatch;
        }

        var reason = EspDecapsulation.Check(association, esp, out sequence, out var notice);
        if (notice is { } kind)
        {
            database.Events.TryPost(kind, association);
        }

        return reason;
    }
}
