using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace WebVm.Api.Console.Display.Jpeg;

/// <summary>
/// The discrete cosine transform of a block (T.81 A.3.3), quantized (A.3.4), in zig-zag order (A.3.6). The transform is Arai, Agui and
/// Nakajima's with five multiplications, which leaves each coefficient multiplied by a factor of its own: quantizing divides by it as well.
/// Eight columns at a time.
/// </summary>
internal sealed class ForwardDct
{
    private const int Side = 8;

    private readonly float[] _factors = new float[JpegTables.BlockSize];
    private readonly byte[] _order = new byte[JpegTables.BlockSize];

    /// <param name="steps">Line by line.</param>
    public ForwardDct(ReadOnlySpan<byte> steps)
    {
        // The results stand column by column: they are never turned back.
        for (int vertical = 0; vertical < Side; vertical++)
        {
            for (int horizontal = 0; horizontal < Side; horizontal++)
            {
                _factors[(horizontal * Side)
                    + vertical] = (float)(1 / (steps[(vertical * Side) + horizontal] * Scale(horizontal) * Scale(vertical) * Side));
            }
        }

        for (int i = 0; i < _order.Length; i++)
        {
            int place = JpegTables.ZigZag[i];
            _order[i] = (byte)((place % Side * Side) + (place / Side));
        }

        static double Scale(int frequency) => frequency == 0 ? 1 : Math.Sqrt(2) * Math.Cos(frequency * Math.PI / 16);
    }

    /// <param name="samples">From the block's first sample on, between -128 and 127.</param>
    /// <param name="stride">Samples from one line to the next.</param>
    /// <param name="coefficients">64, quantized, in the order of the scan.</param>
    public void Transform(ReadOnlySpan<float> samples, int stride, Span<int> coefficients)
    {
        Span<float> block = stackalloc float[JpegTables.BlockSize];
        Span<float> turned = stackalloc float[JpegTables.BlockSize];
        Pass(samples, stride, block);
        for (int y = 0; y < Side; y++)
        {
            for (int x = 0; x < Side; x++)
            {
                turned[(x * Side) + y] = block[(y * Side) + x];
            }
        }

        Pass(turned, Side, block);
        Span<int> quantized = stackalloc int[JpegTables.BlockSize];
        for (int i = 0; i < JpegTables.BlockSize; i += Side)
        {
            Vector256.ConvertToInt32(Vector256.Round(Vector256.Create<float>(block[i..]) * Vector256.Create(_factors, i)))
                .CopyTo(quantized[i..]);
        }

        var order = _order.AsSpan(0, JpegTables.BlockSize);
        coefficients = coefficients[..JpegTables.BlockSize];
        for (int i = 0; i < order.Length; i++)
        {
            coefficients[i] = quantized[order[i]];
        }
    }

    /// <summary>Transforms eight columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pass(ReadOnlySpan<float> from, int stride, Span<float> to)
    {
        var line0 = Vector256.Create(from);
        var line1 = Vector256.Create(from[stride..]);
        var line2 = Vector256.Create(from[(2 * stride)..]);
        var line3 = Vector256.Create(from[(3 * stride)..]);
        var line4 = Vector256.Create(from[(4 * stride)..]);
        var line5 = Vector256.Create(from[(5 * stride)..]);
        var line6 = Vector256.Create(from[(6 * stride)..]);
        var line7 = Vector256.Create(from[(7 * stride)..]);

        var sum0 = line0 + line7;
        var sum1 = line1 + line6;
        var sum2 = line2 + line5;
        var sum3 = line3 + line4;
        var even0 = sum0 + sum3;
        var even1 = sum1 + sum2;
        var even3 = sum0 - sum3;
        var turn = (sum1 - sum2 + even3) * 0.707106781f;
        (even0 + even1).CopyTo(to);
        (even0 - even1).CopyTo(to[(4 * Side)..]);
        (even3 + turn).CopyTo(to[(2 * Side)..]);
        (even3 - turn).CopyTo(to[(6 * Side)..]);

        var last = line0 - line7;
        var odd0 = line3 - line4 + (line2 - line5);
        var odd1 = line2 - line5 + (line1 - line6);
        var odd2 = line1 - line6 + last;
        var common = (odd0 - odd2) * 0.382683433f;
        var low = (odd0 * 0.541196100f) + common;
        var high = (odd2 * 1.306562965f) + common;
        var middle = odd1 * 0.707106781f;
        var plus = last + middle;
        var minus = last - middle;
        (minus + low).CopyTo(to[(5 * Side)..]);
        (minus - low).CopyTo(to[(3 * Side)..]);
        (plus + high).CopyTo(to[Side..]);
        (plus - high).CopyTo(to[(7 * Side)..]);
    }
}
