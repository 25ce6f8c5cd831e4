using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;
using WebVm.Api.Settings;

namespace WebVm.Api.Hosting;

/// <summary>
/// The certificate that https addresses are served with: leaf and chain in one PEM file, the key in it or in another. Renewed files are
/// taken up within seconds, without a restart; files that cannot be used leave the certificate as it was.
/// </summary>
public sealed partial class ServerCertificate
{
    private static readonly TimeSpan RecheckAfter = TimeSpan.FromSeconds(5);

    private readonly string _certificateFile;
    private readonly string _keyFile;
    private readonly TimeProvider _time;
    private readonly Lock _reading = new();
    private SslStreamCertificateContext _current;
    private (DateTime Certificate, DateTime Key) _written;
    private long _checked;

    /// <param name="keyFile">Null: the key is in the certificate's file.</param>
    /// <exception cref="StartException">The files cannot be used.</exception>
    public ServerCertificate(string certificateFile, string? keyFile, TimeProvider time)
    {
        (_certificateFile, _keyFile, _time) = (certificateFile, keyFile ?? certificateFile, time);
        _checked = time.GetTimestamp();
        try
        {
            _written = Written();
            _current = Read();
        }
        catch (Exception failure) when (IsUnusable(failure))
        {
            throw new StartException($"WEBVM_CERTIFICATE cannot be used: {failure.Message}", failure);
        }
    }

    /// <summary>Set once there is a log.</summary>
    public ILogger? Log { get; set; }

    /// <summary>What connections that begin now are served with.</summary>
    public SslStreamCertificateContext Current
    {
        get
        {
            lock (_reading)
            {
                if (_time.GetElapsedTime(_checked) >= RecheckAfter)
                {
                    _checked = _time.GetTimestamp();
                    TakeUpRenewal();
                }

                return _current;
            }
        }
    }

    public void Configure(HttpsConnectionAdapterOptions https)
    {
        // Kestrel asks for a certificate or a selector before it listens; the context, which holds the chain too, takes its place.
        https.ServerCertificateSelector = (_, _) => Current.TargetCertificate;
        https.OnAuthenticate = (_, tls) =>
        {
            tls.ServerCertificateSelectionCallback = null;
            tls.ServerCertificateContext = Current;
        };
    }

    private void TakeUpRenewal()
    {
        try
        {
            var written = Written();
            if (written == _written)
            {
                return;
            }

            _written = written;
            _current = Read();
            if (Log is { } log)
            {
                LogRenewed(log, _current.TargetCertificate.NotAfter);
            }
        }
        catch (Exception failure) when (IsUnusable(failure))
        {
            if (Log is { } log)
            {
                LogUnusable(log, failure.Message);
            }
        }
    }

    private SslStreamCertificateContext Read()
    {
        var leaf = X509Certificate2.CreateFromPemFile(_certificateFile, _keyFile);
        var chain = new X509Certificate2Collection();
        chain.ImportFromPemFile(_certificateFile);
        return SslStreamCertificateContext.Create(leaf, chain, offline: true);
    }

    private (DateTime Certificate, DateTime Key) Written() =>
        (File.GetLastWriteTimeUtc(_certificateFile), File.GetLastWriteTimeUtc(_keyFile));

    private static bool IsUnusable(Exception failure) =>
        failure is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException;

    [LoggerMessage(Level = LogLevel.Information,
        Message = "The renewed certificate is served from now on; it is valid until {End:yyyy-MM-dd HH:mm}")]
    private static partial void LogRenewed(ILogger log, DateTime end);

    [LoggerMessage(Level = LogLevel.Error, Message = "The renewed certificate cannot be used, the old one is still served: {Reason}")]
    private static partial void LogUnusable(ILogger log, string reason);
}
