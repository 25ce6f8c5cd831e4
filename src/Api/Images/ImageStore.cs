using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using WebVm.Api.Settings;

namespace WebVm.Api.Images;

/// <summary>Where images lie on disk: one folder an image, named by its id, so that no name from a client ever becomes a path.</summary>
public sealed class ImageStore(IOptions<ServiceOptions> options)
{
    private const int CopyBufferBytes = 1 << 20;

    private readonly ConcurrentDictionary<Guid, Claim> _claimed = new();

    public string Folder(Guid id) => Path.Combine(options.Value.ImagesFolder, id.ToString("N"));

    /// <summary>The bytes of an image of any kind but bundle.</summary>
    public string Content(Guid id) => Path.Combine(Folder(id), "content");

    public string Kernel(Guid id) => Path.Combine(Folder(id), "kernel");

    public string Initrd(Guid id) => Path.Combine(Folder(id), "initrd");

    public string CommandLine(Guid id) => Path.Combine(Folder(id), "command-line");

    /// <summary>Where all images lie.</summary>
    public string Root => options.Value.ImagesFolder;

    /// <summary>An image's file as a path that does not depend on where the service's folder is.</summary>
    public string Relative(string path) => Path.GetRelativePath(Root, path);

    /// <summary>The file of an image that a relative path names; null when it is gone, or the path leads elsewhere.</summary>
    public string? Resolve(string relative) =>
        relative.Split('/') is [var image, var file] && Guid.TryParseExact(image, "N", out var id)
            && file is "content" or "kernel" or "initrd"
        && Path.Combine(Folder(id), file) is var path && File.Exists(path) ? path : null;

    public void Create(Guid id) => Directory.CreateDirectory(Folder(id));

    public void Delete(Guid id)
    {
        if (Directory.Exists(Folder(id)))
        {
            Directory.Delete(Folder(id), recursive: true);
        }
    }

    /// <summary>Bytes of the content that are safely on disk.</summary>
    public long ReceivedBytes(Guid id) => File.Exists(Content(id)) ? new FileInfo(Content(id)).Length : 0;

    /// <summary>
    /// Writes at an offset until the source ends. What arrived before a failure stays, so that the upload can go on from there.
    /// </summary>
    /// <returns>Bytes of content afterwards.</returns>
    /// <exception cref="ImageTooLargeException">More bytes came than <paramref name="limit"/>.</exception>
    public async Task<long> AppendAsync(
        Guid id, long offset, Stream source, long limit, Func<long, Task>? progress, CancellationToken cancellation)
    {
        await using var file = new FileStream(Content(id), FileMode.OpenOrCreate, FileAccess.Write, FileShare.None, bufferSize: 0);
        file.Seek(offset, SeekOrigin.Begin);
        byte[] buffer = new byte[CopyBufferBytes];
        try
        {
            int read;
            while ((read = await source.ReadAsync(buffer, cancellation)) > 0)
            {
                if (file.Position + read > limit)
                {
                    throw new ImageTooLargeException(limit);
                }

                await file.WriteAsync(buffer.AsMemory(0, read), CancellationToken.None);
                if (progress is not null)
                {
                    await progress(file.Position);
                }
            }
        }
        finally
        {
            file.Flush(flushToDisk: true);
        }

        return file.Position;
    }

    /// <summary>Has the content for oneself, to write to it; null while somebody else writes. Disposed when done.</summary>
    public IDisposable? TryClaim(Guid id)
    {
        var claim = new Claim(_claimed, id);
        return _claimed.TryAdd(id, claim) ? claim : null;
    }

    private sealed class Claim(ConcurrentDictionary<Guid, Claim> claimed, Guid id) : IDisposable
    {
        // Its own alone: given up twice, it does not take the next one's.
        public void Dispose() => claimed.TryRemove(KeyValuePair.Create(id, this));
    }
}

public sealed class ImageTooLargeException(long limit) : Exception($"The image has more than {limit} bytes.");
