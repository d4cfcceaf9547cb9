using System.Diagnostics;
using Espalier.Lab.Net;

namespace Espalier.Lab.Hosts;

/// <summary>Whether this machine lets the lab make hosts: found by trying, not by guessing.</summary>
internal static class Availability
{
    /// <summary>Null if namespaces and TUN can be had, else which is missing and why, in one line.</summary>
    public static string? WhatIsMissing()
    {
        if (!File.Exists("/dev/net/tun"))
        {
            return "no TUN: /dev/net/tun does not exist (load the tun module, or let the container have the device)";
        }

        try
        {
            using var tun = new FileStream("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"no TUN: /dev/net/tun cannot be opened ({exception.Message})";
        }

        foreach (string tool in (string[])["unshare", "setpriv"])
        {
            if (!Shell.Has(tool))
            {
                return $"no namespaces: the program {tool} of util-linux is missing";
            }
        }

        return TryNamespace() is { } why ? $"no namespaces: {why}" : null;
    }

    /// <summary>Arguments of unshare for a namespace of our own; a user namespace where we are not root.</summary>
    public static string[] Unshare { get; } =
        LabProcess.IsRoot ? ["--net", "--kill-child", "--"] : ["--user", "--map-root-user", "--net", "--kill-child", "--"];

    private static string? TryNamespace()
    {
        var start = new ProcessStartInfo("unshare") { RedirectStandardError = true };
        foreach (string argument in (string[])[.. Unshare, "true"])
        {
            start.ArgumentList.Add(argument);
        }

        using var process = Process.Start(start);
        if (process is null)
        {
            return "unshare could not be started";
        }

        string error = process.StandardError.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0 ? null : error.Length > 0 ? error : $"unshare ended with exit code {process.ExitCode}";
    }
}
