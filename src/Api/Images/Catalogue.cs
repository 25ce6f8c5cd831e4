using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Images;

/// <summary>Takes the built-in images (folders made by <c>webvm image build</c>) into the store when the service starts.</summary>
internal sealed partial class Catalogue(
    IDbContextFactory<WebVmDbContext> databases, ImageStore store, IOptions<ServiceOptions> options,
    ILogger<Catalogue> log) : IHostedService
{
    // Both consoles; the last is /dev/console. The default loglevel keeps the kernel's messages on the screen too.
    private const string DefaultCommandLine = "console=tty0 console=ttyS0";

    private static readonly Dictionary<string, string> Descriptions = new(StringComparer.Ordinal)
    {
        ["tiny"] = "Debian's cloud kernel with a BusyBox shell, in memory",
        ["generic"] = "Debian's generic kernel with a BusyBox shell, in memory",
    };

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.Value.Catalogue is not { Length: > 0 } catalogue)
        {
            return;
        }

        try
        {
            _ = Directory.EnumerateFileSystemEntries(catalogue).Any();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            LogUnreadable(log, "WEBVM_CATALOGUE", failure.Message);
            return;
        }

        foreach (var (name, description) in Descriptions)
        {
            string folder = Path.Combine(catalogue, name);
            string kernel = Path.Combine(folder, "vmlinuz");
            string initrd = Path.Combine(folder, "initramfs");
            try
            {
                if (File.Exists(kernel) && File.Exists(initrd))
                {
                    await TakeAsync(name, description, kernel, initrd, cancellationToken);
                }
            }
            catch (UnauthorizedAccessException failure)
            {
                LogUnreadable(log, name, failure.Message);
            }
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private async Task TakeAsync(string name, string description, string kernel, string initrd, CancellationToken cancellation)
    {
        string hash = await HashAsync([kernel, initrd], cancellation);
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var image = await database.Images.SingleOrDefaultAsync(i => i.Name == name, cancellation);
        if (image is { BuiltIn: false })
        {
            LogNameTaken(log, name);
            return;
        }

        if (image?.Sha256 == hash && File.Exists(store.Kernel(image.Id)))
        {
            return;
        }

        if (image is null)
        {
            image = new Image { Name = name, Kind = ImageKind.Bundle, BuiltIn = true, Description = description };
            database.Images.Add(image);
        }

        store.Create(image.Id);
        Place(kernel, store.Kernel(image.Id));
        Place(initrd, store.Initrd(image.Id));
        await File.WriteAllTextAsync(store.CommandLine(image.Id), DefaultCommandLine, cancellation);
        image.Bytes = image.ReceivedBytes = new FileInfo(kernel).Length + new FileInfo(initrd).Length;
        image.Sha256 = hash;
        image.State = ImageState.Ready;
        image.Revision++;
        await database.SaveChangesAsync(cancellation);
    }

    // By way of a temporary name: a VM that starts at this moment sees the old file or the new one.
    private static void Place(string from, string to)
    {
        File.Copy(from, to + ".new", overwrite: true);
        File.Move(to + ".new", to, overwrite: true);
    }

    private static async Task<string> HashAsync(string[] files, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string file in files)
        {
            await using var stream = File.OpenRead(file);
            hash.AppendData(await SHA256.HashDataAsync(stream, cancellation));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The built-in image {Name} is not offered: an image of that name exists")]
    private static partial void LogNameTaken(ILogger log, string name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Built-in images are not offered ({What}): {Reason}")]
    private static partial void LogUnreadable(ILogger log, string what, string reason);
}
