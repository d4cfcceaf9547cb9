using System.Globalization;
using Espalier.Io.Interop;

namespace Espalier.Io.Processes;

/// <summary>Names of users and groups, asked of the C library (and so of every source in nsswitch.conf). Used by one thread, at the start.</summary>
public static unsafe class UserDirectory
{
    /// <summary>The user's number; <paramref name="name"/> may be a number. Null = no such user.</summary>
    public static uint? FindUser(string name)
    {
        if (uint.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out uint number))
        {
            return number;
        }

        passwd* entry = Libc.getpwnam(name);
        return entry == null ? null : entry->pw_uid;
    }

    /// <summary>The group's number; <paramref name="name"/> may be a number. Null = no such group.</summary>
    public static uint? FindGroup(string name)
    {
        if (uint.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out uint number))
        {
            return number;
        }

        group* entry = Libc.getgrnam(name);
        return entry == null ? null : entry->gr_gid;
    }

    /// <summary>The user this process acts as.</summary>
    public static uint EffectiveUser => Libc.geteuid();
}
