using CsCheck;
using Espalier.Io.Interop;
using Espalier.Io.Tun;
using Espalier.Wire.Offload;

namespace Espalier.Io.Tests.Tun;

public sealed class TunVnetHeaderTests
{
    [Fact]
    public unsafe void Length_AgainstTheStruct_IsItsSize() => Assert.Equal(TunVnetHeader.Length, sizeof(virtio_net_hdr));

    [Fact]
    public void GsoType_AgainstTheConstants_HasTheirValues() => Assert.Equal(
        [VirtioNet.VIRTIO_NET_HDR_GSO_NONE, VirtioNet.VIRTIO_NET_HDR_GSO_TCPV4, VirtioNet.VIRTIO_NET_HDR_GSO_TCPV6, VirtioNet.VIRTIO_NET_HDR_GSO_UDP_L4],
        Enum.GetValues<GsoType>().Select(type => (byte)type));

    [Fact]
    public void TryRead_WhatWasWritten_IsTheSame() =>
        Gen.Byte.Array[10, 12].Sample(bytes =>
        {
            bytes[0] &= VirtioNet.VIRTIO_NET_HDR_F_NEEDS_CSUM;
            Assert.True(TunVnetHeader.TryRead(bytes, out var header));
            Assert.Equal((bytes[1] & 0x7F, bytes[1] >= 0x80, bytes[0] == 1), ((int)header.GsoType, header.Ecn, header.NeedsChecksum));
            Assert.Equal(
                (BitConverter.ToUInt16(bytes, 2), BitConverter.ToUInt16(bytes, 4), BitConverter.ToUInt16(bytes, 6), BitConverter.ToUInt16(bytes, 8)),
                (header.HeaderLength, header.GsoSize, header.ChecksumStart, header.ChecksumOffset));
            byte[] written = [.. Enumerable.Repeat((byte)0xEE, 10), .. bytes[10..]];
            TunVnetHeader.Write(written, header);
            Assert.Equal(bytes, written);
        });

    [Fact]
    public void TryRead_TooShort_IsFalse() => Assert.False(TunVnetHeader.TryRead(new byte[9], out _));
}
