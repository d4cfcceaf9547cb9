namespace Espalier.EndToEnd.Tests.Kernel;

/// <summary>The files of an IKE daemon, strongSwan's charon-systemd steered by swanctl: those that it needs in the guest, and its configuration on either side.</summary>
internal static class CharonFiles
{
    /// <summary>The daemon.</summary>
    public const string Daemon = "/usr/sbin/charon-systemd";

    /// <summary>Where swanctl finds the guest's daemon.</summary>
    public const string GuestVici = "unix:///tmp/vici";

    private const string Plugins = "random nonce openssl aes sha2 hmac gcm kdf curve25519 kernel-netlink socket-default vici updown";

    /// <summary>The programs and the plugins, each a file of this machine.</summary>
    public static IEnumerable<string> Programs { get; } =
        [Daemon, "/usr/sbin/swanctl", .. Plugins.Split(' ').Select(plugin => $"/usr/lib/ipsec/plugins/libstrongswan-{plugin}.so")];

    /// <summary>strongswan.conf, with the daemon's socket and log in a folder.</summary>
    public static string Settings(string folder, string more = "") => $$"""
        charon-systemd {
          load = {{Plugins}}
          {{more}}
          plugins {
            vici {
              socket = unix://{{folder}}/vici
            }
          }
          filelog {
            file {
              path = {{folder}}/charon.log
              flush_line = yes
            }
          }
          journal {
            default = -1
          }
        }
        """;

    /// <summary>swanctl.conf with a single connection, in UDP whatever lies between.</summary>
    public static string Connection(string local, string remote, string near, string far) => $$"""
        connections {
          gw-gw {
            version = 2
            encap = yes
            local_addrs = {{local}}
            remote_addrs = {{remote}}
            proposals = aes128-sha256-x25519
            local {
              auth = psk
              id = {{local}}
            }
            remote {
              auth = psk
              id = {{remote}}
            }
            children {
              net-net {
                local_ts = {{near}}
                remote_ts = {{far}}
                esp_proposals = aes128gcm16-x25519
              }
            }
          }
        }
        secrets {
          ike {
            secret = "0123456789abcdef"
          }
        }
        """;
}
