using System.ComponentModel;
using System.Runtime.InteropServices;
using Espalier.CommandLine;
using Espalier.Io;
using Espalier.Io.Host;
using Espalier.Io.Interop;
using Espalier.Running.Composition;
using Espalier.Running.Logging;
using Microsoft.Extensions.Logging;

namespace Espalier.Running;

/// <summary>`espalier run` from its start to its exit code: log, hardening, signals, service manager.</summary>
internal static class DaemonProgram
{
    private static readonly PosixSignal[] StopSignals = [PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP, PosixSignal.SIGQUIT];

    /// <summary>Runs until a signal or a failure; the exit code.</summary>
    internal static int Run(RunOptions options, TextWriter output, TextWriter error)
    {
        int hardening = ProcessHardening.Apply();
        AppDomain.CurrentDomain.UnhandledException += (_, failure) => EndAfterBug(failure.ExceptionObject, error);
        try
        {
            return Run(options, hardening, output);
        }
        catch (Exception exception) when (exception is DeviceException or IOException)
        {
            error.WriteLine($"espalier run: {exception.Message.ReplaceLineEndings(" ")}");
            return ExitCodes.Failure;
        }
        catch (Exception exception) when (IsExhaustion(exception))
        {
            StandardStreams.WriteError("espalier run: no memory, or no further thread, is to be had: raise what limits them (ulimit -u, ulimit -v, the cgroup's pids and memory; systemd: TasksMax=, MemoryMax=)");
            return ExitCodes.Failure;
        }
    }

    private static int Run(RunOptions options, int hardening, TextWriter output)
    {
        using var log = new DaemonLog(options.LogLevel);
        var logger = log.Create("run");
        if (hardening != 0)
        {
            RunLog.NotHardened(logger, Errno.Text(hardening));
        }

        // From here on a signal ends the daemon in order, also while it starts.
        var ending = new Ending();
        var registrations = StopSignals.Select(signal => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            ending.Tell(context.Signal.ToString(), isFailure: false);
        })).ToArray();
        try
        {
            return Serve(options, log, logger, ending, output);
        }
        finally
        {
            Array.ForEach(registrations, registration => registration.Dispose());
        }
    }

    /// <summary>True for what .NET throws where a thread cannot be started, those of the signals and of the console included.</summary>
    private static bool IsExhaustion(Exception exception) =>
        exception is OutOfMemoryException or Win32Exception { NativeErrorCode: Errno.EAGAIN or Errno.ENOMEM }
            or TypeInitializationException { InnerException: IOException or OutOfMemoryException };

    private static int Serve(RunOptions options, DaemonLog log, ILogger logger, Ending ending, TextWriter output)
    {
        using var daemon = new Daemon(options, log, ending);
        daemon.Start();
        SpareThreads.Try();
        log.Release();
        RunLog.Ready(
            logger, options.TunName, options.ControlPath, options.EncapsulationPort == 0 ? "no UDP encapsulation" : $"UDP port {options.EncapsulationPort}");
        output.WriteLine("ready");
        output.Flush();
        new ServiceNotices(daemon).Ready();

        var (reason, failed) = ending.Wait();
        if (failed)
        {
            RunLog.DeviceLost(logger, reason);
        }
        else
        {
            RunLog.Stopping(logger, reason);
        }

        ServiceNotices.Stopping();
        daemon.Dispose();
        RunLog.Stopped(logger);
        return failed ? ExitCodes.Failure : ExitCodes.Success;
    }

    /// <summary>A bug: says where, without the exception's message and data, and ends. Routes stay, so protected traffic fails closed.</summary>
    private static void EndAfterBug(object exception, TextWriter error)
    {
        error.WriteLine($"espalier run: bug: {exception.GetType()}{Environment.NewLine}{(exception as Exception)?.StackTrace}");
        error.Flush();
        Environment.Exit(ExitCodes.Internal);
    }
}
