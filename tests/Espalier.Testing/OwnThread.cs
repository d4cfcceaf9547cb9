using System.Runtime.ExceptionServices;

namespace Espalier.Testing;

/// <summary>Code on a thread that ends with it: what the code changes of its thread (namespace, user) no other test finds.</summary>
internal static class OwnThread
{
    /// <summary>Runs <paramref name="function"/>, waits for it and returns its result; its exception passes through.</summary>
    internal static T Run<T>(Func<T> function)
    {
        T? result = default;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                result = function();
            }
#pragma warning disable CA1031 // Carried to the caller's thread.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }
}
