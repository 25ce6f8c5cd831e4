using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace WebVm.Kit.Service;

/// <summary>
/// A certificate for 127.0.0.1 and vm.example with its chain, as PEM files: issued by an intermediate authority of a root of its own.
/// </summary>
public sealed class TestCertificate : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-certificate-").FullName;
    private readonly X509Certificate2 _intermediate;

    private TestCertificate()
    {
        Root = Authority("WebVm test root", null);
        _intermediate = Authority("WebVm test intermediate", Root);
        Issue();
    }

    public X509Certificate2 Root { get; }

    public string File => Path.Combine(_folder, "certificate.pem");

    public string KeyFile => Path.Combine(_folder, "key.pem");

    public string SerialNumber { get; private set; } = "";

    public static TestCertificate Create() => new();

    /// <summary>Writes a new certificate with a new key over the old one.</summary>
    public void Issue()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=vm.example", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        names.AddDnsName("vm.example");
        request.CertificateExtensions.Add(names.Build());
        using var issued = request.Create(
            _intermediate, _intermediate.NotBefore, _intermediate.NotAfter, RandomNumberGenerator.GetBytes(16));
        System.IO.File.WriteAllText(KeyFile, key.ExportPkcs8PrivateKeyPem());
        System.IO.File.WriteAllText(File, issued.ExportCertificatePem() + "\n" + _intermediate.ExportCertificatePem());
        SerialNumber = issued.SerialNumber;
    }

    public void Dispose()
    {
        Root.Dispose();
        _intermediate.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static X509Certificate2 Authority(string name, X509Certificate2? issuer)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        if (issuer is null)
        {
            return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(2));
        }

        using var issued = request.Create(issuer, issuer.NotBefore, issuer.NotAfter, RandomNumberGenerator.GetBytes(16));
        return issued.CopyWithPrivateKey(key);
    }
}
