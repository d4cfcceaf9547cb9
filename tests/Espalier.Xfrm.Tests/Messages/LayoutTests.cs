using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Testing;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Messages;

/// <summary>Every struct and constant of linux/xfrm.h and linux/netlink.h that we use, against the C compiler's sizeof and offsetof.</summary>
public sealed class LayoutTests
{
    private static readonly string[] Headers = ["stdint.h", "linux/netlink.h", "linux/xfrm.h"];

    // Our struct, C's, and C's members in the order of our fields.
    private static readonly (Type Ours, string Theirs, string Members)[] Structs =
    [
        (typeof(NetlinkHeader), "struct nlmsghdr", "nlmsg_len nlmsg_type nlmsg_flags nlmsg_seq nlmsg_pid"),
        (typeof(NetlinkAttributeHeader), "struct nlattr", "nla_len nla_type"),
        (typeof(XfrmAddress), "xfrm_address_t", "a4"),
        (typeof(XfrmId), "struct xfrm_id", "daddr spi proto"),
        (typeof(XfrmSelector), "struct xfrm_selector",
            "daddr saddr dport dport_mask sport sport_mask family prefixlen_d prefixlen_s proto ifindex user"),
        (typeof(XfrmLifetimeConfiguration), "struct xfrm_lifetime_cfg",
            "soft_byte_limit hard_byte_limit soft_packet_limit hard_packet_limit soft_add_expires_seconds hard_add_expires_seconds "
            + "soft_use_expires_seconds hard_use_expires_seconds"),
        (typeof(XfrmLifetimeCurrent), "struct xfrm_lifetime_cur", "bytes packets add_time use_time"),
        (typeof(XfrmMark), "struct xfrm_mark", "v m"),
        (typeof(XfrmUserSecurityContext), "struct xfrm_user_sec_ctx", "len exttype ctx_alg ctx_doi ctx_len"),
        (typeof(XfrmStatistics), "struct xfrm_stats", "replay_window replay integrity_failed"),
        (typeof(XfrmUserSaInfo), "struct xfrm_usersa_info",
            "sel id saddr lft curlft stats seq reqid family mode replay_window flags"),
        (typeof(XfrmUserSaId), "struct xfrm_usersa_id", "daddr spi family proto"),
        (typeof(XfrmUserSpiInfo), "struct xfrm_userspi_info", "info min max"),
        (typeof(XfrmUserSaFlush), "struct xfrm_usersa_flush", "proto"),
        (typeof(XfrmAlgorithm), "struct xfrm_algo", "alg_name alg_key_len"),
        (typeof(XfrmAlgorithmAuthentication), "struct xfrm_algo_auth", "alg_name alg_key_len alg_trunc_len"),
        (typeof(XfrmAlgorithmAead), "struct xfrm_algo_aead", "alg_name alg_key_len alg_icv_len"),
        (typeof(XfrmEncapsulationTemplate), "struct xfrm_encap_tmpl", "encap_type encap_sport encap_dport encap_oa"),
        (typeof(XfrmReplayState), "struct xfrm_replay_state", "oseq seq bitmap"),
        (typeof(XfrmReplayStateEsn), "struct xfrm_replay_state_esn", "bmp_len oseq seq oseq_hi seq_hi replay_window"),
        (typeof(XfrmAddressFilter), "struct xfrm_address_filter", "saddr daddr family splen dplen"),
        (typeof(XfrmUserOffload), "struct xfrm_user_offload", "ifindex flags"),
        (typeof(XfrmUserPolicyInfo), "struct xfrm_userpolicy_info", "sel lft curlft priority index dir action flags share"),
        (typeof(XfrmUserPolicyId), "struct xfrm_userpolicy_id", "sel index dir"),
        (typeof(XfrmUserTemplate), "struct xfrm_user_tmpl", "id family saddr reqid mode share optional aalgos ealgos calgos"),
        (typeof(XfrmUserPolicyType), "struct xfrm_userpolicy_type", "type reserved1 reserved2"),
        (typeof(XfrmUserPolicyDefault), "struct xfrm_userpolicy_default", "in fwd out"),
        (typeof(XfrmUserMigrate), "struct xfrm_user_migrate",
            "old_daddr old_saddr new_daddr new_saddr proto mode reserved reqid old_family new_family"),
        (typeof(XfrmUserKeyManagerAddress), "struct xfrm_user_kmaddress", "local remote reserved family"),
        (typeof(XfrmAsyncEventId), "struct xfrm_aevent_id", "sa_id saddr flags reqid"),
        (typeof(XfrmUserAcquire), "struct xfrm_user_acquire", "id saddr sel policy aalgos ealgos calgos seq"),
        (typeof(XfrmUserExpire), "struct xfrm_user_expire", "state hard"),
        (typeof(XfrmUserPolicyExpire), "struct xfrm_user_polexpire", "pol hard"),
        (typeof(XfrmUserMapping), "struct xfrm_user_mapping", "id reqid old_saddr new_saddr old_sport new_sport"),
        (typeof(XfrmUserReport), "struct xfrm_user_report", "proto sel"),
        (typeof(XfrmSadHashInfo), "struct xfrmu_sadhinfo", "sadhcnt sadhmcnt"),
        (typeof(XfrmSpdInfo), "struct xfrmu_spdinfo", "incnt outcnt fwdcnt inscnt outscnt fwdscnt"),
        (typeof(XfrmSpdHashInfo), "struct xfrmu_spdhinfo", "spdhcnt spdhmcnt"),
        (typeof(XfrmSpdHashThreshold), "struct xfrmu_spdhthresh", "lbits rbits"),
    ];

    [Fact]
    public void Structs_AgainstC_HaveSizeAndOffsets()
    {
        CompilerFacts.Require();
        var expected = new List<(string Expression, long Ours)>();
        foreach (var (ours, theirs, members) in Structs)
        {
            expected.Add(($"sizeof({theirs})", SizeOf(ours)));
            string[] names = members.Split(' ');
            var fields = ours.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).OrderBy(field => field.MetadataToken).ToArray();
            Assert.Equal(names.Length, fields.Length);
            expected.AddRange(names.Zip(fields, (name, field) => ($"offsetof({theirs}, {name})", (long)OffsetOf(ours, field))));
        }

        Compare(expected);
    }

    [Fact]
    public void Structs_OfMessages_AreAllCompared()
    {
        var compared = Structs.Select(entry => entry.Ours).ToHashSet();
        var all = typeof(XfrmAddress).Assembly.GetTypes()
            .Where(type => type.Namespace == typeof(XfrmAddress).Namespace && type.IsValueType && !type.IsNested && type != typeof(XfrmAlgorithmName));

        Assert.Empty(all.Where(type => !compared.Contains(type)).Select(type => type.Name));
    }

    /// <summary>A struct that is returned brings whatever stood on the stack in the place of its padding, and a message would carry that to its reader.</summary>
    [Fact]
    public void Structs_WithPadding_AreFilledInPlaceAndReturnedByNoMethod()
    {
        var padded = Structs.Select(entry => entry.Ours).Where(type => SizeOf(type) != FilledBytes(type)).ToHashSet();
        var methods = typeof(XfrmAddress).Assembly.GetTypes().SelectMany(type => type.GetMethods(
            BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly));

        Assert.Contains(typeof(XfrmId), padded);
        Assert.Empty(methods.Where(method => padded.Contains(method.ReturnType)).Select(method => $"{method.DeclaringType!.Name}.{method.Name}"));
    }

    [Fact]
    public void Constants_AgainstC_HaveTheirValues()
    {
        CompilerFacts.Require();
        string[] messages =
        [
            "NEWSA", "DELSA", "GETSA", "NEWPOLICY", "DELPOLICY", "GETPOLICY", "ALLOCSPI", "ACQUIRE", "EXPIRE", "UPDPOLICY", "UPDSA", "POLEXPIRE",
            "FLUSHSA", "FLUSHPOLICY", "NEWAE", "GETAE", "REPORT", "MIGRATE", "NEWSADINFO", "GETSADINFO", "NEWSPDINFO", "GETSPDINFO", "MAPPING",
            "SETDEFAULT", "GETDEFAULT",
        ];

        // What is newer than the headers of the oldest supported distribution is left out: SA_DIR and later.
        string[] attributes =
        [
            "UNSPEC", "ALG_AUTH", "ALG_CRYPT", "ALG_COMP", "ENCAP", "TMPL", "SA", "POLICY", "SEC_CTX", "LTIME_VAL", "REPLAY_VAL", "REPLAY_THRESH",
            "ETIMER_THRESH", "SRCADDR", "COADDR", "LASTUSED", "POLICY_TYPE", "MIGRATE", "ALG_AEAD", "KMADDRESS", "ALG_AUTH_TRUNC", "MARK", "TFCPAD",
            "REPLAY_ESN_VAL", "SA_EXTRA_FLAGS", "PROTO", "ADDRESS_FILTER", "PAD", "OFFLOAD_DEV", "SET_MARK", "SET_MARK_MASK", "IF_ID", "MTIMER_THRESH",
        ];
        string[] groups = ["ACQUIRE", "EXPIRE", "SA", "POLICY", "AEVENTS", "REPORT", "MIGRATE", "MAPPING"];
        var expected = new List<(string Expression, long Ours)>();
        expected.AddRange(messages.Select((name, index) => ($"XFRM_MSG_{name}", (long)XfrmMessage.NewSa + index)));
        expected.AddRange(attributes.Select((name, index) => ($"XFRMA_{name}", (long)index)));
        expected.AddRange(groups.Select((name, index) => ($"XFRMNLGRP_{name}", (long)XfrmGroup.Acquire + index)));
        expected.AddRange(
        [
            ("XFRMA_SAD_CNT", (long)XfrmSadAttribute.Count), ("XFRMA_SAD_HINFO", (long)XfrmSadAttribute.HashInfo),
            ("XFRMA_SPD_INFO", (long)XfrmSpdAttribute.Info), ("XFRMA_SPD_HINFO", (long)XfrmSpdAttribute.HashInfo),
            ("XFRMA_SPD_IPV4_HTHRESH", (long)XfrmSpdAttribute.IPv4HashThreshold), ("XFRMA_SPD_IPV6_HTHRESH", (long)XfrmSpdAttribute.IPv6HashThreshold),
            ("NLMSG_ERROR", Netlink.Error), ("NLMSG_DONE", Netlink.Done), ("NLMSG_MIN_TYPE", Netlink.FirstType), ("NLM_F_REQUEST", Netlink.Request),
            ("NLM_F_MULTI", Netlink.Multi), ("NLM_F_ACK", Netlink.Acknowledge), ("NLM_F_DUMP", Netlink.Dump), ("NLM_F_REPLACE", Netlink.Replace),
            ("NLM_F_CAPPED", Netlink.Capped), ("NLM_F_ACK_TLVS", Netlink.AckAttributes), ("NLMSGERR_ATTR_MSG", Netlink.ErrorText),
            ("NLMSGERR_ATTR_OFFS", Netlink.ErrorOffset), ("NLMSGERR_ATTR_COOKIE", ControlMessage.CookieAttribute), ("NETLINK_XFRM", ControlMessage.NetlinkXfrm),
            ("XFRM_MODE_TRANSPORT", XfrmValue.ModeTransport), ("XFRM_MODE_TUNNEL", XfrmValue.ModeTunnel),
            ("XFRM_MODE_ROUTEOPTIMIZATION", XfrmValue.ModeRouteOptimization), ("XFRM_MODE_IN_TRIGGER", XfrmValue.ModeInTrigger),
            ("XFRM_MODE_BEET", XfrmValue.ModeBeet), ("XFRM_POLICY_TYPE_SUB", XfrmValue.PolicyTypeSub), ("XFRM_POLICY_TYPE_ANY", XfrmValue.PolicyTypeAny),
            ("XFRM_USERPOLICY_BLOCK", XfrmValue.DefaultBlock), ("XFRM_USERPOLICY_ACCEPT", XfrmValue.DefaultAccept),
            ("XFRM_AE_RTHR", XfrmValue.AeReplayThreshold), ("XFRM_AE_RVAL", XfrmValue.AeReplayValue), ("XFRM_AE_LVAL", XfrmValue.AeLifetimeValue),
            ("XFRM_AE_ETHR", XfrmValue.AeTimerThreshold), ("XFRM_AE_CU", XfrmValue.AeCauseUpdate), ("XFRM_AE_CR", XfrmValue.AeCauseReplay), ("XFRM_AE_CE", XfrmValue.AeCauseTimer), ("XFRMA_REPLAY_ESN_MAX", XfrmValue.MaximumReplayWindow),
            ("XFRM_POLICY_IN", (long)Ipsec.Spd.PolicyDirection.In), ("XFRM_POLICY_OUT", (long)Ipsec.Spd.PolicyDirection.Out),
            ("XFRM_POLICY_FWD", (long)Ipsec.Spd.PolicyDirection.Forward), ("XFRM_POLICY_BLOCK", (long)Ipsec.Spd.PolicyAction.Block),
            ("XFRM_STATE_NOECN", (long)Ipsec.Sad.SaFlags.NoEcn), ("XFRM_STATE_DECAP_DSCP", (long)Ipsec.Sad.SaFlags.DecapDscp),
            ("XFRM_STATE_NOPMTUDISC", (long)Ipsec.Sad.SaFlags.NoPmtuDiscovery), ("XFRM_STATE_WILDRECV", (long)Ipsec.Sad.SaFlags.WildcardReceive),
            ("XFRM_STATE_ICMP", (long)Ipsec.Sad.SaFlags.Icmp), ("XFRM_STATE_AF_UNSPEC", (long)Ipsec.Sad.SaFlags.AfUnspec),
            ("XFRM_STATE_ALIGN4", (long)Ipsec.Sad.SaFlags.Align4), ("XFRM_STATE_ESN", (long)Ipsec.Sad.SaFlags.Esn),
            ("XFRM_SA_XFLAG_DONT_ENCAP_DSCP", (long)Ipsec.Sad.SaExtraFlags.DontEncapsulateDscp),
            ("XFRM_SA_XFLAG_OSEQ_MAY_WRAP", (long)Ipsec.Sad.SaExtraFlags.OutboundSequenceMayWrap),
        ]);

        Compare(expected);
    }

    private static void Compare(List<(string Expression, long Ours)> expected)
    {
        long[] theirs = CompilerFacts.Evaluate(Headers, [.. expected.Select(entry => entry.Expression)]);
        Assert.Equal(
            expected.Select((entry, index) => $"{entry.Expression} = {theirs[index]}"),
            expected.Select(entry => $"{entry.Expression} = {entry.Ours}"));
    }

    private static int SizeOf(Type type) => Bytes(type, Activator.CreateInstance(type)!).Length;

    // The offset of a field: that of the first byte which is not zero when the field alone is filled with ones.
    private static int OffsetOf(Type type, FieldInfo field)
    {
        object boxed = Activator.CreateInstance(type)!;
        if (type == typeof(XfrmAddress))
        {
            return 0;
        }

        field.SetValue(boxed, Invoke(nameof(Filled), field.FieldType, []));
        return Array.FindIndex(Bytes(type, boxed), value => value != 0);
    }

    private static byte[] Bytes(Type type, object boxed) => (byte[])Invoke(nameof(ToBytes), type, [boxed]);

    private static object Invoke(string method, Type type, object[] arguments) =>
        typeof(LayoutTests).GetMethod(method, BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(type).Invoke(null, arguments)!;

    private static byte[] ToBytes<T>(object boxed)
        where T : unmanaged
    {
        byte[] bytes = new byte[Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(bytes, (T)boxed);
        return bytes;
    }

    private static object Filled<T>()
        where T : unmanaged
    {
        byte[] bytes = new byte[Unsafe.SizeOf<T>()];
        Array.Fill(bytes, (byte)0xff);
        return MemoryMarshal.Read<T>(bytes);
    }

    // Bytes of a struct's fields, padding left out.
    private static int FilledBytes(Type type) => type.Namespace != typeof(XfrmAddress).Namespace || type.GetCustomAttribute<InlineArrayAttribute>() is not null
        ? SizeOf(type)
        : type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).Sum(field => FilledBytes(field.FieldType));
}
