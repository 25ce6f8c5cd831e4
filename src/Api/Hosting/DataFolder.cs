namespace WebVm.Api.Hosting;

/// <summary>The folder of everything that a service keeps. One service at a time has it: two would drive the same machines.</summary>
public sealed class DataFolder : IDisposable
{
    private const string LockName = "service.lock";

    private readonly FileStream _lock;

    private DataFolder(FileStream held) => _lock = held;

    /// <summary>Creates the folder where it is missing, and holds it until the process ends, however that happens.</summary>
    /// <exception cref="StartException">Another service has it, or it cannot be written to.</exception>
    public static DataFolder Claim(string path)
    {
        string name = Path.Combine(path, LockName);
        try
        {
            Directory.CreateDirectory(path);
            // FileShare.None takes flock(2), which ends with the process.
            return new DataFolder(new FileStream(name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (UnauthorizedAccessException failure)
        {
            throw new StartException($"The data folder {path} cannot be written to. WEBVM_DATA names another.", failure);
        }
        catch (IOException failure) when (File.Exists(name))
        {
            throw new StartException($"Another WebVm uses the data folder {path}. WEBVM_DATA names another.", failure);
        }
        catch (IOException failure)
        {
            throw new StartException($"The data folder {path} cannot be used: {failure.Message}", failure);
        }
    }

    public void Dispose() => _lock.Dispose();
}
