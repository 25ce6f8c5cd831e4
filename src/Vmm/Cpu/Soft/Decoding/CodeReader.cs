namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>Hands the decoder the bytes of one instruction run; reused for every block.</summary>
internal sealed unsafe class CodeReader : Iced.Intel.CodeReader
{
    private byte* _next;
    private byte* _end;

    public void Reset(byte* start, int length)
    {
        _next = start;
        _end = start + length;
    }

    public override int ReadByte() => _next < _end ? *_next++ : -1;
}
