using System.Runtime.InteropServices;

// A library is the system's, never one beside the program.
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]

namespace Espalier.Crypto.Interop.OpenSsl;

/// <summary>
/// The calls into OpenSSL's libcrypto, one a file, under their own names. Those that are made for packets take the context as a bare pointer: a
/// SafeHandle would cost two interlocked operations a call. Their caller keeps the <see cref="SafeEvpCipherContext"/> alive.
/// </summary>
internal static unsafe partial class Libcrypto
{
    /// <summary>The name under which OpenSSL 3 is installed everywhere.</summary>
    internal const string Name = "libcrypto.so.3";

    /// <summary>EVP_CTRL_AEAD_GET_TAG of openssl/evp.h.</summary>
    internal const int EVP_CTRL_AEAD_GET_TAG = 0x10;

    /// <summary>EVP_CTRL_AEAD_SET_TAG of openssl/evp.h.</summary>
    internal const int EVP_CTRL_AEAD_SET_TAG = 0x11;

    /// <summary>OPENSSL_VERSION of openssl/crypto.h.</summary>
    internal const int OPENSSL_VERSION = 0;
}
