using System.Text;
using System.Text.RegularExpressions;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Kernel;

/// <summary>
/// What the guest boots: the distribution's kernel, which tests/run unpacks into artifacts/linux, and a root file system of this machine's busybox and `ip`, the
/// kernel's modules for ESP, and an init that runs the commands that come by a virtio port. It powers the guest off when the port's other end is closed.
/// </summary>
internal static partial class GuestImage
{
    /// <summary>iproute2 in the guest; busybox has an `ip` of its own, which knows no xfrm.</summary>
    public const string Ip = "/iproute2/ip";

    /// <summary>Holds port 4500 of both versions, open for ESP in UDP, as an IKE daemon does.</summary>
    public const string EncapsulationSockets = "/encap";

    private const string EncapsulationSource = """
        #include <netinet/in.h>
        #include <netinet/udp.h>
        #include <sys/socket.h>
        #include <unistd.h>

        static int hold(int family, const void *address, socklen_t length)
        {
            int one = 1, encapsulation = UDP_ENCAP_ESPINUDP, s = socket(family, SOCK_DGRAM, 0);
            if (family == AF_INET6)
                setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
            return setsockopt(s, IPPROTO_UDP, UDP_ENCAP, &encapsulation, sizeof encapsulation) || bind(s, address, length);
        }

        int main(void)
        {
            struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(4500) };
            struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(4500) };
            if (hold(AF_INET, &v4, sizeof v4) || hold(AF_INET6, &v6, sizeof v6))
                return 1;
            pause();
        }
        """;

    /// <summary>
    /// Answers UDP on port 7 of both versions. A request is the traffic class, the DF flag and the length (2 bytes) that the answer is to have; the answer's first
    /// byte is the traffic class of the request, its second 1 where an answer of that length was refused as too large.
    /// </summary>
    public const string Reflector = "/reflector";

    private const string ReflectorSource = """
        #include <netinet/in.h>
        #include <netinet/ip.h>
        #include <sys/socket.h>
        #include <unistd.h>

        static int reflect(int six, const void *address, socklen_t length)
        {
            int one = 1, s = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), level = six ? IPPROTO_IPV6 : IPPROTO_IP;
            if (six)
                setsockopt(s, level, IPV6_V6ONLY, &one, sizeof one);
            if (setsockopt(s, level, six ? IPV6_RECVTCLASS : IP_RECVTOS, &one, sizeof one) || bind(s, address, length))
                return 1;
            for (;;) {
                unsigned char data[2000], control[64];
                struct sockaddr_in6 peer;
                struct iovec part = { data, sizeof data };
                struct msghdr m = { &peer, sizeof peer, &part, 1, control, sizeof control, 0 };
                if (recvmsg(s, &m, 0) < 4)
                    continue;
                int class = data[0], discover = data[1] ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT, size = data[2] << 8 | data[3];
                setsockopt(s, level, six ? IPV6_TCLASS : IP_TOS, &class, sizeof class);
                setsockopt(s, level, six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &discover, sizeof discover);
                data[0] = *CMSG_DATA(CMSG_FIRSTHDR(&m));
                data[1] = 0;
                if (sendto(s, data, size, 0, (void *)&peer, m.msg_namelen) < 0) {
                    data[1] = 1;
                    sendto(s, data, 4, 0, (void *)&peer, m.msg_namelen);
                }
            }
        }

        int main(void)
        {
            struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(7) };
            struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(7) };
            return fork() ? reflect(0, &v4, sizeof v4) : reflect(1, &v6, sizeof v6);
        }
        """;

    // What these depend on comes too. The random numbers (drbg) and ecb(cipher_null)'s ecb are asked for by name at run time.
    private static readonly string[] Modules =
    [
        "virtio_pci", "virtio_net", "virtio_console", "xfrm_user", "esp4", "esp6", "esp4_offload", "esp6_offload", "xfrm4_tunnel", "xfrm6_tunnel", "jitterentropy_rng", "drbg",
        "ecb", "ctr", "gcm", "ccm", "cmac", "xcbc", "ghash_generic", "aesni_intel", "seqiv", "echainiv", "authenc", "authencesn", "sha512_generic",
        "des_generic", "camellia_generic", "chacha_generic", "poly1305_generic", "chacha20poly1305",
    ];

    private const string Init = $"""
        #!/bin/busybox sh
        /bin/busybox mkdir -p /proc /sys /dev /tmp /sbin /usr/bin /usr/sbin
        /bin/busybox --install -s
        export PATH=/bin:/sbin:/usr/bin:/usr/sbin
        mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
        while read module; do insmod /modules/$module.ko || echo "no $module"; done </modules/order
        cd /tmp
        for port in /dev/vport*; do sh 0<>$port 1>&0 2>&0; done
        reboot -f
        """;

    private static readonly string Linux = Path.Combine(EspalierProgram.Root(), "artifacts/linux");

    /// <summary>Skips where the kernel is not unpacked or a program is missing.</summary>
    public static void Need()
    {
        Requirements.Need("qemu-system-x86_64", "busybox", "ldd", "timeout", "gcc");
        Assert.SkipUnless(
            Directory.Exists($"{Linux}/boot") && Directory.Exists($"{Linux}/lib/modules"), "needs a distribution's linux-image for x86-64, which tests/run unpacks into artifacts/linux");
    }

    /// <summary>The kernel as QEMU takes it.</summary>
    public static string Kernel() => Directory.GetFiles($"{Linux}/boot", "vmlinuz-*").Single();

    /// <summary>Makes the first root file system in a folder, with charon where <paramref name="ike"/> is set, and returns its path.</summary>
    public static string Write(TemporaryFolder folder, bool ike)
    {
        string path = folder.FilePath("initrd");
        using var archive = new CpioArchive(path);
        Compile(archive, EncapsulationSockets[1..], EncapsulationSource, folder);
        Compile(archive, Reflector[1..], ReflectorSource, folder);
        archive.AddFolder("dev");
        archive.Add("init", Encoding.ASCII.GetBytes(Init));
        AddProgram(archive, Requirement.Find("busybox")!, "bin/busybox");
        AddProgram(archive, Requirement.Find("ip")!, Ip[1..]);
        if (ike)
        {
            AddCharon(archive);
        }

        var order = ModuleOrder();
        foreach (var (name, content) in order)
        {
            archive.Add($"modules/{name}.ko", content);
        }

        archive.Add("modules/order", Encoding.ASCII.GetBytes(string.Join('\n', order.Select(module => module.Name)) + "\n"));
        return path;
    }

    private static void Compile(CpioArchive archive, string name, string source, TemporaryFolder folder)
    {
        string program = folder.FilePath(name);
        Command.Run("gcc", "-static", "-o", program, folder.Write($"{name}.c", source));
        archive.Add(name, File.ReadAllBytes(program));
    }

    private static void AddCharon(CpioArchive archive)
    {
        foreach (string program in CharonFiles.Programs)
        {
            AddProgram(archive, program, program[1..]);
        }

        // glibc loads it when a thread ends, so no program names it.
        archive.Add("lib/x86_64-linux-gnu/libgcc_s.so.1", File.ReadAllBytes(Command.Run("gcc", "-print-file-name=libgcc_s.so.1").Trim()));
        archive.Add("etc/passwd", "root:x:0:0::/:/bin/sh\n"u8.ToArray());
        archive.Add("etc/strongswan.conf", Encoding.ASCII.GetBytes(CharonFiles.Settings("/tmp")));
        archive.Add("etc/swanctl/swanctl.conf", Encoding.ASCII.GetBytes(
            CharonFiles.Connection(Gateways.SunAt(false), Gateways.MoonAt(false), TwoHosts.Net(2, false), TwoHosts.Net(1, false))));
    }

    private static void AddProgram(CpioArchive archive, string program, string place)
    {
        archive.Add(place, File.ReadAllBytes(program));
        foreach (Match library in LibraryPath().Matches(Command.Try("ldd", [program]).Output))
        {
            archive.Add(library.Value[1..], File.ReadAllBytes(library.Value));
        }
    }

    // Each module behind those that its own "depends=" names.
    private static List<(string Name, byte[] Content)> ModuleOrder()
    {
        var files = Directory.GetFiles($"{Linux}/lib/modules", "*.ko", SearchOption.AllDirectories)
            .ToDictionary(file => Path.GetFileNameWithoutExtension(file).Replace('-', '_'));
        var order = new List<(string Name, byte[] Content)>();
        foreach (string module in Modules)
        {
            Add(module);
        }

        return order;

        void Add(string name)
        {
            if (order.Any(module => module.Name == name) || !files.TryGetValue(name, out string? file))
            {
                return;    // there already, or built into this kernel
            }

            byte[] content = File.ReadAllBytes(file);
            foreach (string needed in Depends().Match(Encoding.Latin1.GetString(content)).Groups[1].Value.Split(',', StringSplitOptions.RemoveEmptyEntries))
            {
                Add(needed.Replace('-', '_'));
            }

            order.Add((name, content));
        }
    }

    [GeneratedRegex(@"/\S+")]
    private static partial Regex LibraryPath();

    [GeneratedRegex(@"\0depends=([^\0]*)\0")]
    private static partial Regex Depends();
}
