using System.Globalization;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>
/// What a monitor is given instead of names: its files, its listening socket, /dev/kvm, and pipes for what it prints and for its faults.
/// </summary>
internal sealed unsafe class HandedDescriptors : IDisposable
{
    private readonly List<FileDescriptor> _descriptors = [];

    private HandedDescriptors(FileDescriptor output, FileDescriptor faults) => (Output, Faults) = (output, faults);

    /// <summary>The monitor's 0, 1, 2 …</summary>
    public IReadOnlyList<FileDescriptor> Descriptors => _descriptors;

    /// <summary>Options of the monitor that name them.</summary>
    public List<string> Arguments { get; } = [];

    /// <summary>What the monitor prints comes out here.</summary>
    public FileDescriptor Output { get; }

    /// <summary>Here comes what it writes when a fault ends it (<see cref="FaultRecord"/>). Neither end waits.</summary>
    public FileDescriptor Faults { get; }

    /// <exception cref="InvalidDataException">A file is not one, or cannot be opened.</exception>
    public static HandedDescriptors Open(KeeperOptions options)
    {
        var (output, print) = Pipe(0);
        var (faults, fault) = Pipe(LibC.O_NONBLOCK);
        var handed = new HandedDescriptors(output, faults);
        try
        {
            handed._descriptors.Add(OpenDevice("/dev/null"));
            handed._descriptors.Add(print);
            handed._descriptors.Add(print.Duplicate());
            handed.Add("control", UnixSocket.Listen(Path.Combine(options.Folder!, "control")));
            foreach (var file in options.Files)
            {
                handed.Add(file.Name, UntrustedFile.Open(file.Path));
            }

            if (options.Kvm && FileCalls.Open("/dev/kvm", LibC.O_RDWR | LibC.O_CLOEXEC, 0) is >= 0 and var kvm)
            {
                handed.Add("kvm", new FileDescriptor(kvm));
            }

            handed.Add(FaultReporter.HandedName, fault);

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
        Faults.Dispose();
    }

    private void Add(string name, FileDescriptor descriptor)
    {
        Arguments.Add("--handed");
        Arguments.Add(string.Create(CultureInfo.InvariantCulture, $"{_descriptors.Count}={name}"));
        _descriptors.Add(descriptor);
    }

    private static (FileDescriptor Read, FileDescriptor Write) Pipe(int flags)
    {
        int* ends = stackalloc int[2];
        return LibC.pipe2(ends, LibC.O_CLOEXEC | flags) == 0
            ? (new FileDescriptor(ends[0]), new FileDescriptor(ends[1]))
            : throw LinuxException.Last("pipe2");
    }

    private static FileDescriptor OpenDevice(string path)
    {
        int number = FileCalls.Open(path, LibC.O_RDWR | LibC.O_CLOEXEC, 0);
        return number < 0 ? throw LinuxException.Last("open") : new FileDescriptor(number);
    }
}
