namespace Espalier.Diagnosis.Checks;

/// <summary>Settings of strongSwan that keep charon from using Espalier, or make it fight with it.</summary>
internal static class StrongSwanCheck
{
    private const string Folder = "/etc/strongswan.d/charon";
    private static readonly string[] Profiles = ["usr.lib.ipsec.charon", "usr.sbin.charon-systemd", "usr.lib.ipsec.stroke", "usr.sbin.swanctl"];

    internal static IEnumerable<Finding> Examine(HostView host)
    {
        if (!host.Exists("/etc/strongswan.conf"))
        {
            yield break;
        }

        if (IsSet(host, $"{Folder}/kernel-libipsec.conf", "load", "yes") && host.Names("/usr/lib/ipsec/plugins").Contains("libstrongswan-kernel-libipsec.so"))
        {
            yield return new Finding(
                Severity.Warning, "strongSwan", "its plugin kernel-libipsec is loaded and would do ESP itself", $"'load = no' in {Folder}/kernel-libipsec.conf");
        }

        if (IsSet(host, $"{Folder}/kernel-netlink.conf", "load", "no"))
        {
            yield return new Finding(
                Severity.Warning, "strongSwan", "its plugin kernel-netlink is not loaded, and that is what Espalier serves", $"'load = yes' in {Folder}/kernel-netlink.conf");
        }

        if (Profiles.Where(name => host.Exists($"/etc/apparmor.d/{name}")).ToArray() is { Length: > 0 } profiles && host.Exists("/sys/kernel/security/apparmor"))
        {
            yield return new Finding(
                Severity.Note, "strongSwan", $"AppArmor has profiles ({string.Join(", ", profiles)}) that may keep it from the preload library and the control socket",
                "allow both in /etc/apparmor.d/local/, e.g. '/run/espalier.sock rw,' and the library's path with 'mr,'");
        }

        if (!Mentions(host, "ignore_routing_tables") || !Mentions(host, "interfaces_ignore"))
        {
            yield return new Finding(
                Severity.Note, "strongSwan", "charon looks for its way to the peer in all routing tables and on all interfaces, Espalier's included",
                "in strongswan.conf, charon { ignore_routing_tables = 4550 70086 135622, interfaces_ignore = esp0 }");
        }
    }

    private static bool IsSet(HostView host, string path, string name, string value) => host.Lines(path)
        .Select(line => line.Split('#')[0].Split('=', 2))
        .Any(parts => parts.Length == 2 && parts[0].Trim() == name && parts[1].Trim() == value);

    private static bool Mentions(HostView host, string name) =>
        host.Names("/etc/strongswan.d").Select(file => $"/etc/strongswan.d/{file}").Append("/etc/strongswan.conf")
            .SelectMany(host.Lines).Any(line => line.Split('#')[0].Contains(name, StringComparison.Ordinal));
}
