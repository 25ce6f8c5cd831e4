using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace WebVm.Api.Identity;

/// <summary>Makes and checks tokens and passwords.</summary>
public static class Secrets
{
    private const int SecretBytes = 32;
    private const string TokenPrefix = "wvm_";

    // OWASP Password Storage Cheat Sheet: PBKDF2-HMAC-SHA512 with 210,000 iterations.
    private const int Iterations = 210_000;
    private const int SaltBytes = 16;
    private const int HashBytes = 32;

    // Checked when there is no such user, so that the answer takes as long.
    private static readonly string NobodysPassword = HashPassword(Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes)));

    /// <summary>A new token: "wvm_" and 256 random bits.</summary>
    public static string NewToken() => TokenPrefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes));

    public static byte[] HashToken(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));

    public static string HashPassword(string password)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(SaltBytes);
        byte[] hash = Rfc2898DeriveBytes.Pbkdf2(password, salt, Iterations, HashAlgorithmName.SHA512, HashBytes);
        return $"pbkdf2-sha512${Iterations}${Convert.ToBase64String(salt)}${Convert.ToBase64String(hash)}";
    }

    /// <summary>Whether the password matches; takes the same time when <paramref name="stored"/> is null.</summary>
    public static bool VerifyPassword(string password, string? stored)
    {
        string[] parts = (stored ?? NobodysPassword).Split('$');
        byte[] expected = Convert.FromBase64String(parts[3]);
        byte[] actual = Rfc2898DeriveBytes.Pbkdf2(
            password, Convert.FromBase64String(parts[2]), int.Parse(parts[1], null), HashAlgorithmName.SHA512, expected.Length);
        return CryptographicOperations.FixedTimeEquals(actual, expected) && stored is not null;
    }
}
