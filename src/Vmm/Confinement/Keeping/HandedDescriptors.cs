using System.Globalization;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>What a monitor is given instead of names: its files, its listening socket, /dev/kvm, and a pipe for what it prints.</summary>
internal sealed unsafe class HandedDescriptors : IDisposable
{
    private readonly List<FileDescriptor> _descriptors = [];

    private HandedDescriptors(FileDescriptor output) => Output = output;

    /// <summary>The monitor's 0, 1, 2 …</summary>
    public IReadOnlyList<FileDescriptor> Descriptors => _descriptors;

    /// <summary>Options of the monitor that name them.</summary>
    public List<string> Arguments { get; } = [];

    /// <summary>What the monitor prints comes out here.</summary>
    public FileDescriptor Output { get; }

    /// <exception cref="ConfinementException">A file is not one, or cannot be opened.</exception>
    public static HandedDescriptors Open(KeeperOptions options)
    {
        int* ends = stackalloc int[2];
        if (ProcessCalls.Pipe(ends, FileCalls.O_CLOEXEC) != 0)
        {
            throw LinuxException.Last("pipe2");
        }

        var handed = new HandedDescriptors(new FileDescriptor(ends[0]));
        try
        {
            var print = new FileDescriptor(ends[1]);
            handed._descriptors.Add(OpenFile("/dev/null", FileCalls.O_RDWR));
            handed._descriptors.Add(print);
            handed._descriptors.Add(print.Duplicate());
            handed.Add("control", ControlSocket.Listen(Path.Combine(options.Folder!, "control")));
            foreach (var file in options.Files)
            {
                // Without O_NONBLOCK a FIFO would be waited for; on a regular file it means nothing.
                var opened = OpenFile(file.Path, (file.Writes ? FileCalls.O_RDWR : FileCalls.O_RDONLY) | ProcessCalls.O_NOFOLLOW | FileCalls.O_NONBLOCK);
                handed.Add(file.Name, opened);
                if (!IsRegular(opened))
                {
                    throw new ConfinementException($"'{file.Path}' is not a regular file");
                }
            }

            if (options.Kvm && FileCalls.Open("/dev/kvm", FileCalls.O_RDWR | FileCalls.O_CLOEXEC, 0) is >= 0 and var kvm)
            {
                handed.Add("kvm", new FileDescriptor(kvm));
            }

            return handed;
        }
        catch
        {
            handed.Dispose();
            throw;
        }
    }

    /// <summary>Closes the keeper's own copies of what the monitor has now.</summary>
    public void Release()
    {
        _descriptors.ForEach(descriptor => descriptor.Dispose());
        _descriptors.Clear();
    }

    public void Dispose()
    {
        Release();
        Output.Dispose();
    }

    private void Add(string name, FileDescriptor descriptor)
    {
        Arguments.Add("--handed");
        Arguments.Add(string.Create(CultureInfo.InvariantCulture, $"{_descriptors.Count}={name}"));
        _descriptors.Add(descriptor);
    }

    private static FileDescriptor OpenFile(string path, int flags)
    {
        int number = FileCalls.Open(path, flags | FileCalls.O_CLOEXEC, 0);
        return number < 0 ? throw new ConfinementException($"'{path}' cannot be opened: {LinuxException.Last("open").Message}") : new FileDescriptor(number);
    }

    private static bool IsRegular(FileDescriptor file)
    {
        const int modeOffset = 24; // offsetof(struct stat, st_mode) on x86-64
        const int statSize = 144;
        const uint typeMask = 0xf000; // S_IFMT
        const uint regular = 0x8000; // S_IFREG
        byte* status = stackalloc byte[statSize];
        return RawCalls.Call(SystemCall.SYS_fstat, file.Number, (nint)status) == 0 && (*(uint*)(status + modeOffset) & typeMask) == regular;
    }
}
