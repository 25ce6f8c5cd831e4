namespace WebVm.Api.Runs;

/// <summary>
/// All that a VM has written to its serial port, over all its runs: a file that keeps the newest <see cref="Capacity"/> bytes. Offsets
/// count from the VM's first byte ever and never go back.
/// </summary>
/// <remarks>
/// The file "serial.log" holds the bytes from offset <c>first</c> on; "serial.position" names first, the current run, and the offset at
/// which that run began, so that a restarted service asks the monitor for exactly what is missing.
/// </remarks>
public sealed class SerialJournal : IDisposable
{
    public const long Capacity = 16 << 20;

    // No guest writes that far; and sums of two such offsets are numbers still.
    private const long Farthest = 1L << 60;

    private readonly Lock _lock = new();
    private readonly FileStream _file;
    private readonly string _positionFile;
    private long _first;
    private string _run = "";
    private long _runBase;

    // The file tells less than the fields: it could not be written.
    private bool _positionIsOld;
    private volatile TaskCompletionSource _grown = NewSignal();

    public SerialJournal(string folder)
    {
        Directory.CreateDirectory(folder);
        _positionFile = Path.Combine(folder, "serial.position");
        _file = new FileStream(
            Path.Combine(folder, "serial.log"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
        if (File.Exists(_positionFile) && File.ReadAllText(_positionFile).Split(' ') is [var first, var run, var runBase]
            && long.TryParse(first, out _first) && long.TryParse(runBase, out _runBase))
        {
            _run = run;
        }
    }

    /// <summary>Offset of the oldest byte that is kept.</summary>
    public long First
    {
        get
        {
            lock (_lock)
            {
                return _first;
            }
        }
    }

    /// <summary>Offset behind the newest byte.</summary>
    public long End
    {
        get
        {
            lock (_lock)
            {
                return _first + _file.Length;
            }
        }
    }

    /// <summary>Completes at the next growth.</summary>
    public Task Grown => _grown.Task;

    /// <summary>Begins or goes on with a run.</summary>
    /// <returns>The run's own offset from which its output is wanted.</returns>
    public long Resume(string run)
    {
        lock (_lock)
        {
            if (_run != run)
            {
                _run = run;
                _runBase = _first + _file.Length;
                TryWritePosition();
            }

            return _first + _file.Length - _runBase;
        }
    }

    /// <summary>Adds output of the current run.</summary>
    /// <param name="runOffset">Where the data begins in the run's own output. What is there already is not written twice. A monitor says
    /// what it likes: what is no offset is passed over.</param>
    public void Append(string run, long runOffset, ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            if (run != _run || runOffset is < 0 or > Farthest)
            {
                return;
            }

            try
            {
                AppendMissing(runOffset, data);
            }
            catch (IOException)
            {
                // A full disk costs output, not the machine: what comes later is taken up as after a hole.
                return;
            }
        }

        Interlocked.Exchange(ref _grown, NewSignal()).TrySetResult();
    }

    /// <summary>Reads what there is from an offset on.</summary>
    /// <param name="offset">Moved up to the oldest byte when older ones are asked for.</param>
    /// <exception cref="ObjectDisposedException">The VM is gone.</exception>
    public int Read(ref long offset, Span<byte> destination)
    {
        lock (_lock)
        {
            offset = Math.Clamp(offset, _first, _first + _file.Length);
            _file.Seek(offset - _first, SeekOrigin.Begin);
            return _file.Read(destination);
        }
    }

    /// <summary>The end of the VM. Who follows the log is woken, and finds it gone.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _file.Dispose();
        }

        Interlocked.Exchange(ref _grown, NewSignal()).TrySetResult();
    }

    private void AppendMissing(long runOffset, ReadOnlySpan<byte> data)
    {
        long have = _first + _file.Length - _runBase;
        if (runOffset < have)
        {
            data = data[(int)Math.Min(have - runOffset, data.Length)..];
        }
        else if (runOffset > have)
        {
            // The monitor's own buffer overran while nobody listened: the run's count goes on, the journal's has no hole.
            _runBase -= runOffset - have;
            _positionIsOld = true;
        }

        if (_positionIsOld)
        {
            WritePosition();
        }

        if (data.IsEmpty)
        {
            return;
        }

        long length = _file.Length;
        try
        {
            _file.Seek(0, SeekOrigin.End);
            _file.Write(data);
        }
        catch (IOException)
        {
            // The stream does not know how much of it was written.
            _file.SetLength(length);
            throw;
        }

        if (_file.Length > Capacity)
        {
            DropOldest();
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void DropOldest()
    {
        byte[] kept = new byte[Capacity / 2];
        _file.Seek(-kept.Length, SeekOrigin.End);
        _file.ReadExactly(kept);
        _first += _file.Length - kept.Length;
        _file.SetLength(0);
        _file.Write(kept);
        WritePosition();
    }

    private void TryWritePosition()
    {
        try
        {
            WritePosition();
        }
        catch (IOException)
        {
            // Written with the next output, once there is space.
        }
    }

    private void WritePosition()
    {
        _positionIsOld = true;
        File.WriteAllText(_positionFile + ".new", $"{_first} {_run} {_runBase}");
        File.Move(_positionFile + ".new", _positionFile, overwrite: true);
        _positionIsOld = false;
    }
}
