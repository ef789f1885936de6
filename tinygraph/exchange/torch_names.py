"""PyTorch's names that are not here, and what to write instead.

`PAIRS` has a call of PyTorch's and the code that gives the same here; a test runs both, and
docs/from_pytorch.md shows them. In it x and y are matrices with elements between 0 and 1, m is a square matrix, v a
vector, z are images, a is an array, mask has booleans, and i, j and k are arrays of indices. `SENTENCES` has what no
code can say; several names may share a sentence.
"""

from __future__ import annotations

__all__ = ["ARGUMENTS", "PAIRS", "SENTENCES"]

# What to write in place of an argument, as ``function.argument`` or, for any function, ``argument``.
ARGUMENTS = {
    "backward.create_graph": "write tinygraph.grad(loss, inputs, create_graph=True)",
    "backward.inputs": "write tinygraph.grad(loss, inputs)",
    "backward.grad_tensors": "write gradient={value}",
    "view.dtype": "write .astype(dtype)",
    "load.weights_only": "leave it out: reading a checkpoint runs no code",
    "load.map_location": "leave it out: arrays are NumPy's, and net.to(backend='cupy') moves a net",
    "load.pickle_module": "leave it out: nothing is unpickled",
    "DataLoader.num_workers": "leave it out: batches are cut out of arrays, in this process",
    "DataLoader.collate_fn": "write transform=function, which is called with every batch",
    "DataLoader.sampler": "write shuffle=True, or give the arrays in the order that you want",
    "DataLoader.batch_sampler": "write batch_size=64, shuffle=True",
    "device": "arrays on a GPU are CuPy's: tinygraph.Tensor(tinygraph.asarray(array, 'cupy'))",
    "generator": "tinygraph.manual_seed(0) seeds it; with a generator of your own, write tinygraph.tensor(numbers)",
    "layout": "leave it out: arrays are dense",
    "memory_format": "leave it out: an array may lie in memory in any order here",
    "non_blocking": "leave it out",
    "pin_memory": "leave it out",
}

PAIRS = {
    # Values that have no derivative
    "x.all()": "x.data.all()",
    "x.any()": "x.data.any()",
    "x.allclose(y)": "np.allclose(x, y)",
    "x.argwhere()": "np.argwhere(x.data)",
    "x.count_nonzero()": "np.count_nonzero(x.data)",
    "x.isclose(y)": "np.isclose(x, y)",
    "x.isfinite()": "np.isfinite(x)",
    "x.isinf()": "np.isinf(x)",
    "x.isnan()": "np.isnan(x)",
    "x.logical_and(y)": "np.logical_and(x.data, y.data)",
    "x.logical_not()": "np.logical_not(x.data)",
    "x.logical_or(y)": "np.logical_or(x.data, y.data)",
    "x.nonzero()": "np.argwhere(x.data)",
    "x.unique()": "np.unique(x.data)",
    "x.eq(y)": "x == y",
    "x.ne(y)": "x != y",
    "x.not_equal(y)": "x != y",
    "x.gt(y)": "x > y",
    "x.greater(y)": "x > y",
    "x.ge(y)": "x >= y",
    "x.greater_equal(y)": "x >= y",
    "x.lt(y)": "x < y",
    "x.less(y)": "x < y",
    "x.le(y)": "x <= y",
    "x.less_equal(y)": "x <= y",
    "x.equal(y)": "bool((x == y).all())",
    "torch.is_tensor(x)": "isinstance(x, tg.Tensor)",
    # What an array is
    "x.is_floating_point()": "x.dtype.kind == 'f'",
    "x.ndimension()": "x.ndim",
    "x.nelement()": "x.size",
    "x.nbytes": "x.data.nbytes",
    "x.itemsize": "x.data.itemsize",
    "x.element_size()": "x.data.itemsize",
    # New tensors
    "x.new_full((2,), 3.0)": "tg.full((2,), 3.0, dtype=x.dtype)",
    "x.new_ones(2)": "tg.ones(2, dtype=x.dtype)",
    "x.new_tensor([1.0])": "tg.tensor([1.0], dtype=x.dtype)",
    "x.new_zeros(2)": "tg.zeros(2, dtype=x.dtype)",
    "torch.as_tensor(a)": "tg.from_numpy(a)",
    "torch.scalar_tensor(1.0)": "tg.tensor(1.0)",
    "torch.e": "np.e",
    "torch.inf": "np.inf",
    "torch.nan": "np.nan",
    "torch.pi": "np.pi",
}

GPU = "arrays on a GPU are CuPy's: tinygraph.Tensor(tinygraph.asarray(x.data, 'cupy')), and net.to(backend='cupy')"
ONE_DEVICE = "training uses one device"
GRADIENT = "tinygraph.grad(loss, [x]) returns the gradient of any value on the way"
LINALG = "decompositions of symmetric matrices, singular values and QR are in tinygraph.linalg: eigh, svd, qr, cholesky"
COMPLEX = "complex numbers are refused: a pair (real, imaginary) lies along a last axis of length 2 in tinygraph.fft"
SEED = "tinygraph.manual_seed(0) seeds tinygraph.rand and randn"
EXTREME = "max, min and sort return values alone: x.argmax(axis) and x.argsort(axis) return where they were"
DRAW = "write tinygraph.tensor(generator.{call}) with generator = tinygraph.manual_seed(0)"
RECURRENT = "there are nn.RNN, nn.LSTM, nn.GRU and their cells; write another one as a nn.Module of nn.Linear layers"
OPTIMIZERS = "take optim.AdamW or optim.Lion, or subclass optim.Optimizer: its update is a few lines"
ATTRIBUTES = "set modules and parameters as attributes, with setattr(self, name, module) in a loop; names are found"
TRAIN = "write the loop (docs/nets.md), or take tinygraph.training.Training"

SENTENCES = {
    "Tensor": {
        "cuda xpu mtia get_device is_cuda is_cpu": GPU,
        "to": "x.astype(numpy.float32) converts to a dtype; " + GPU,
        "device": "write x.data.device: NumPy's arrays are on the CPU and CuPy's on a GPU; " + GPU,
        "type": "write x.dtype for the dtype and x.astype(dtype) to convert",
        "register_hook register_post_accumulate_grad_hook retain_grad retains_grad": GRADIENT,
        "grad_fn output_nr": "x.node.op is the op that made x; tinygraph.snapshot(x) is the whole graph",
        "is_leaf": "write x.node.op is None",
        "values indices": EXTREME,
        "put": "write x.index_put(indices, values, accumulate=False)",
        "data_ptr storage untyped_storage storage_offset stride is_contiguous is_set_to": (
            "a Tensor's array is x.data: NumPy's strides, flags and ctypes are there"
        ),
        "pin_memory is_pinned record_stream is_shared": "leave it out: a Tensor's array is a plain one",
        "bernoulli multinomial": SEED + "; compare tinygraph.rand(*x.shape) with x",
        "new new_empty": "write tinygraph.empty(*shape, dtype=x.dtype)",
        "copy_": "write x.data = array",
        "zero_": "write x.data = numpy.zeros_like(x.data), or tinygraph.nn.init.zeros_(x)",
        "fill_": "write tinygraph.nn.init.constant_(x, value)",
        "detach_": "write x = x.detach()",
        "apply_ map_": "write x.data = function(x.data)",
        "lu": LINALG,
        "fit predict summary": "a Tensor is no model: see tinygraph.nn.Module",
        "bfloat16": "NumPy has no such dtype: write x.astype(numpy.float32)",
        "assign": "write x.data = array",
        "name_scope scope": "write with tinygraph.scope('name'): …",
    },
    "tinygraph": {
        "cuda xpu mtia accelerator mps device get_device get_default_device set_default_device": GPU,
        "autograd": "write tinygraph.grad, jacobian, hessian, vjp, jvp, hvp, gradcheck; tinygraph.op makes an op",
        "inference_mode": "write tinygraph.no_grad()",
        "func vmap": "write tinygraph.grad, .vjp, .jvp, .jacobian, .hessian; an op takes leading axes as they are",
        "utils": "DataLoader is tinygraph.data.DataLoader; checkpoints are tinygraph.save and tinygraph.load",
        "bfloat16": "NumPy has no such dtype: write numpy.float32",
        "Size": "a shape is a tuple",
        "newaxis": "write None, as in x[:, None]",
        "dtype": "dtypes are NumPy's: numpy.float32",
        "finfo iinfo": "write numpy.finfo(x.dtype)",
        "set_default_dtype get_default_dtype set_default_tensor_type": (
            "there is no default dtype: an op keeps that of its operands; give dtype=numpy.float32 to what makes them"
        ),
        "Generator default_generator": "write numpy.random.default_rng(seed)",
        "seed initial_seed get_rng_state set_rng_state random": SEED,
        "randint": DRAW.format(call="integers(low, high, shape)"),
        "randperm": DRAW.format(call="permutation(n)"),
        "normal": DRAW.format(call="normal(mean, std, shape)"),
        "bernoulli": DRAW.format(call="random(shape) < p"),
        "multinomial": DRAW.format(call="choice(n, shape, p=p)"),
        "rand_like": "write tinygraph.rand(*x.shape, dtype=x.dtype)",
        "randn_like": "write tinygraph.randn(*x.shape, dtype=x.dtype)",
        "empty_like": "write tinygraph.zeros_like(x)",
        "range": "write tinygraph.arange(start, end + 1)",
        "numel": "write x.size",
        "jit fx export": "tinygraph.compile makes kernels of a function; there is no graph to edit or to export",
        "amp autocast GradScaler": "there is no mixed precision: convert with net.to(numpy.float32)",
        "distributed multiprocessing futures": ONE_DEVICE,
        "backends set_num_threads get_num_threads use_deterministic_algorithms": (
            "leave it out: results are the same from run to run; NumPy's threads are set by OMP_NUM_THREADS"
        ),
        "profiler": "write with tinygraph.profile() as p: …",
        "special": "tinygraph.erf, tinygraph.logsumexp and tinygraph.sigmoid are in tinygraph itself",
        "set_printoptions": "write numpy.set_printoptions",
        "hub": "write net.load_state_dict(tinygraph.load('net.safetensors'))",
        "testing": "write numpy.testing.assert_allclose(x.data, y.data)",
        "Variable": "write tinygraph.Tensor(array)",
        "Module Linear Conv2d": "layers are in tinygraph.nn",
        "array asnumpy": "write tinygraph.Tensor(array), and x.numpy() for the way back",
        "keras layers Sequential Model": "layers and Sequential are in tinygraph.nn; " + TRAIN,
        "GradientTape": "every op of a Tensor is recorded: write loss.backward(), or tinygraph.grad(loss, [x])",
    },
    "linalg": {
        "eig eigvals": (
            "the eigenvalues of a matrix that is not symmetric are complex, and complex numbers are refused: for a "
            "symmetric matrix write eigh or eigvalsh, and for the values alone numpy.linalg.eig(x.data)"
        ),
        "lu lu_factor lu_solve ldl_factor ldl_solve householder_product": LINALG,
        "solve_ex inv_ex cholesky_ex": "write the name without _ex: what fails raises LinAlgError",
        "vander": "write x[:, None] ** numpy.arange(n)",
    },
    "fft": {
        "hfft ihfft hfft2 ihfft2 hfftn ihfftn": "write irfft or rfft, with the imaginary part turned round",
        "fftfreq rfftfreq": "frequencies have no gradient: write numpy.fft.fftfreq or numpy.fft.rfftfreq",
    },
    "nn": {
        "Container": ATTRIBUTES,
        "Buffer": "write self.register_buffer(name, array)",
        "RNNBase RNNCellBase": RECURRENT,
        "CrossMapLRN2d": "write nn.LocalResponseNorm(size, alpha, beta, k)",
        "LinearCrossEntropyOptions": "leave it out: nn.LinearCrossEntropyLoss computes all scores at once",
        "NLLLoss2d": "write nn.NLLLoss(), which takes images too",
        "UninitializedBuffer": "buffers of a lazy layer are None until it has its size",
        "SyncBatchNorm DataParallel parallel": ONE_DEVICE,
        "parameter": "write tinygraph.nn.Parameter",
        "modules": "write tinygraph.nn.Module",
        "Dense": "write nn.Linear(in_features, out_features)",
        "BatchNormalization": "write nn.BatchNorm1d(features, decay=0.99): decay weighs the old average, as in Keras",
    },
    "functional": {
        "grouped_mm": "write tinygraph.cat([a[:n] @ b[0], a[n:] @ b[1]]), with a product for each group",
        "scaled_mm scaled_grouped_mm": "write scale * (x @ y): there are no numbers of 8 bits here",
        "assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function has_torch_function_unary "
        "has_torch_function_variadic": "it is PyTorch's own machinery, and nothing here asks for it",
    },
    "data": {
        "TensorDataset Dataset IterableDataset StackDataset": (
            "arrays of one length are a dataset: write DataLoader((images, labels), batch_size=64)"
        ),
        "Subset random_split": "index the arrays: images[:800] and labels[:800]",
        "ConcatDataset ChainDataset": "write numpy.concatenate([a, b]) of each array",
        "Sampler RandomSampler SequentialSampler SubsetRandomSampler WeightedRandomSampler BatchSampler": (
            "write DataLoader(arrays, shuffle=True), or give it the arrays in the order that you want"
        ),
        "default_collate default_convert": "DataLoader(arrays, transform=function) is called with every batch",
        "get_worker_info": "leave it out: there are no workers",
        "DistributedSampler": ONE_DEVICE,
    },
    "optim": {
        "Adafactor Muon": OPTIMIZERS,
        "SparseAdam": "gradients are dense here: optim.Adam takes the same options",
    },
    "Module": {
        "fit": TRAIN,
        "predict evaluate": "write net.eval(), and net(x) inside of tinygraph.no_grad()",
        "summary": "print(net) shows the layers; tinygraph.draw(net(x), 'net.svg') draws them",
        "save save_weights": "write tinygraph.save(net.state_dict(), 'net.safetensors')",
        "load_weights": "write net.load_state_dict(tinygraph.load('net.safetensors'))",
        "add": "write nn.Sequential(first, second), or sequential.append(module)",
        "get_weights set_weights": "write net.state_dict() and net.load_state_dict(arrays)",
        "cuda xpu mtia ipu": "write net.to(backend='cupy')",
        "cpu": "write net.to(backend='numpy')",
        "bfloat16 type": "write net.to(numpy.float32), or another dtype",
        "register_full_backward_hook register_full_backward_pre_hook register_backward_hook "
        "register_load_state_dict_post_hook register_load_state_dict_pre_hook register_state_dict_post_hook "
        "register_state_dict_pre_hook": (
            "there are net.register_forward_hook(hook) and register_forward_pre_hook(hook); "
            "tinygraph.grad(loss, [value]) returns gradients on the way"
        ),
        "share_memory to_empty": "leave it out: parameters hold plain arrays",
    },
}
