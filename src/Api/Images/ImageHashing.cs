using System.Buffers;
using System.Security.Cryptography;
using WebVm.Api.Operations;

namespace WebVm.Api.Images;

/// <summary>
/// Reads images from end to end for their checksums, few at a time and with progress: uploads that are complete at the same moment leave
/// disk and processors to everybody else.
/// </summary>
internal sealed class ImageHashing(ImageStore store) : IDisposable
{
    private const int BufferBytes = 1 << 20;

    // A checksum takes a processor for itself while it is computed.
    private readonly SemaphoreSlim _places = new(Math.Max(1, Environment.ProcessorCount / 4));

    /// <param name="from">Percentage of the operation that is done before; the checksum is the rest of it.</param>
    /// <returns>SHA-256 in lower-case hexadecimal.</returns>
    public async Task<string> HashAsync(Guid id, OperationContext operation, int from, CancellationToken cancellation)
    {
        if (!await _places.WaitAsync(TimeSpan.Zero, cancellation))
        {
            await operation.ReportAsync(from, "Waiting for other images to be checked");
            await _places.WaitAsync(cancellation);
        }

        try
        {
            return await ReadAsync(id, operation, from, cancellation);
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose() => _places.Dispose();

    private async Task<string> ReadAsync(Guid id, OperationContext operation, int from, CancellationToken cancellation)
    {
        await using var file = new FileStream(
            store.Content(id), FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0,
            FileOptions.Asynchronous | FileOptions.SequentialScan);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            long length = Math.Max(1, file.Length);
            int read;
            while ((read = await file.ReadAsync(buffer, cancellation)) > 0)
            {
                hash.AppendData(buffer, 0, read);
                await operation.ReportAsync(from + (int)(file.Position * (100 - from) / length), "Checking the image");
            }

            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
